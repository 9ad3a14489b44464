package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"

	"github.com/deviceops/deviceops"
)

// downloaded is the version that is fetched when the machine has none.
const downloaded = embedded.V17

// download fetches the programs once, into the user's cache.
func download(log io.Writer) (programs, error) {
	dir, err := downloadDir()
	if err != nil {
		return programs{}, missing(err)
	}
	if p, err := inspect(filepath.Join(dir, "bin")); err == nil {
		return p, nil
	}
	fmt.Fprintf(log, "No PostgreSQL on this machine: downloading version %s to %s\n", downloaded, dir)
	fetched := fetch(dir)
	p, err := inspect(filepath.Join(dir, "bin"))
	if err != nil {
		return programs{}, missing(errors.Join(fetched, err))
	}
	return p, nil
}

func missing(err error) error {
	return deviceops.Errorf(deviceops.EUNAVAILABLE,
		"PostgreSQL %d or newer is needed and cannot be downloaded here (%w): install it (apt-get install postgresql, dnf install postgresql-server, brew install postgresql@17) or name the folder of its programs in DEVICEOPS_PG_BIN",
		oldest, err)
}

// downloadDir is a folder that the server's account can run programs from.
func downloadDir() (string, error) {
	a, err := serverAccount("")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	dir := filepath.Join(cache, "deviceops", "postgresql-"+string(downloaded))
	if err != nil || !a.reaches(dir) {
		dir = filepath.Join("/var/cache/deviceops", "postgresql-"+string(downloaded))
	}
	return dir, os.MkdirAll(filepath.Dir(dir), 0o755)
}

// fetch has the library download and unpack into dir. It knows no call for
// that alone, so it is asked to start a throwaway server, which it does not
// manage as root; what counts is whether the programs are there afterwards.
func fetch(dir string) error {
	scratch, err := os.MkdirTemp("", "deviceops-download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	port, err := freePort(0)
	if err != nil {
		return err
	}
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(downloaded).
		Port(uint32(port)).
		CachePath(scratch).
		RuntimePath(filepath.Join(scratch, "runtime")).
		DataPath(filepath.Join(scratch, "data")).
		BinariesPath(dir).
		StartTimeout(30 * time.Second).
		Logger(io.Discard))
	if err := server.Start(); err != nil {
		return err
	}
	return server.Stop()
}
