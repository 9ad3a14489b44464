package vaulttest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

// Build gives the path of the server's program, which it builds unless the
// user's cache folder has it. Processes that call it at the same time build it
// once.
var Build = sync.OnceValues(build)

func build() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), "server")
	folder, err := cacheFolder()
	if err != nil {
		return "", err
	}
	version, err := hashOf(source)
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "vault-server-"+version)
	unlock, err := lock(filepath.Join(folder, "vault-server.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, compile(source, program)
}

func cacheFolder() (string, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		folder = os.TempDir() // no home folder, as in some containers
	}
	folder = filepath.Join(folder, "deviceops")
	return folder, os.MkdirAll(folder, 0o755)
}

// hashOf names a version of the program: by its source, what it is built of, and
// the Go release.
func hashOf(source string) (string, error) {
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, file := range append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum")) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		hash.Write(text)
	}
	hash.Write([]byte(runtime.Version() + runtime.GOOS + runtime.GOARCH))
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// compile builds under another name first, so that a build that is killed leaves
// nothing that looks like the program.
func compile(source, program string) error {
	fmt.Fprintln(os.Stderr, "Building a Vault server for tests; the first time this takes minutes.")
	cmd := exec.Command("go", "build", "-mod=readonly", "-o", program+".new", ".")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Vault server in %s: %w\n%s", source, err, out)
	}
	return os.Rename(program+".new", program)
}
