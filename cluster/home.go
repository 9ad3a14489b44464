package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/deviceops/deviceops"
)

// elsewhere is the folder for clusters whose own folder the server's account
// cannot reach (as root: anything below a root home). It outlives a reboot.
const elsewhere = "/var/tmp"

// temporaryPrefix marks folders that a later process may sweep.
const temporaryPrefix = "deviceops-cluster-"

// home is the folder of one cluster: data/ is PostgreSQL's own, beside it are
// the password and the server's log.
type home struct {
	dir     string
	wanted  string // the folder that was asked for
	account account
}

// moved tells that the cluster is not where it was asked to be.
func (h home) moved() bool { return h.dir != h.wanted }

func (h home) data() string     { return filepath.Join(h.dir, "data") }
func (h home) password() string { return filepath.Join(h.dir, "password") }
func (h home) log() string      { return filepath.Join(h.dir, "server.log") }
func (h home) location() string { return filepath.Join(h.wanted, "location") }

// version is the major version that made the data, "" when there is none yet.
func (h home) version() string {
	b, err := os.ReadFile(filepath.Join(h.data(), "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// logTail is the end of the server's log, for errors.
func (h home) logTail() string {
	b, err := os.ReadFile(h.log())
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// openHome makes or finds the folder of cfg. The returned function gives up
// the claim on it.
func openHome(cfg Config) (home, func(), error) {
	if cfg.Dir == "" {
		return openTemporaryHome(cfg)
	}
	none := func() {}
	// Others may pass through the folder, since the server's account must.
	if err := os.MkdirAll(cfg.Dir, 0o711); err != nil {
		return home{}, none, deviceops.Errorf(deviceops.ECONFLICT, "make the data folder: %w", err)
	}
	h, err := findHome(cfg.Dir)
	if err != nil {
		return home{}, none, err
	}
	if err := h.make(); err != nil {
		return home{}, none, err
	}
	if h.moved() {
		fmt.Fprintf(cfg.Log, "PostgreSQL keeps its data in %s: its user cannot reach %s\n", h.dir, h.wanted)
	}
	return h, none, nil
}

// findHome says where the cluster of an existing folder lives.
func findHome(wanted string) (home, error) {
	wanted, err := filepath.Abs(wanted)
	if err == nil {
		wanted, err = filepath.EvalSymlinks(wanted)
	}
	if err != nil {
		return home{}, deviceops.Errorf(deviceops.ENOTFOUND, "data folder: %w", err)
	}
	a, err := serverAccount(wanted)
	if err != nil {
		return home{}, err
	}
	h := home{dir: wanted, wanted: wanted, account: a}
	if moved, err := os.ReadFile(h.location()); err == nil {
		h.dir = strings.TrimSpace(string(moved))
	} else if !a.reaches(wanted) {
		sum := sha256.Sum256([]byte(wanted))
		h.dir = filepath.Join(elsewhere, "deviceops-"+hex.EncodeToString(sum[:6]))
	}
	return h, nil
}

// make creates the folder, and notes in the wanted one where it is when that
// is somewhere else.
func (h home) make() error {
	made := os.Mkdir(h.dir, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return deviceops.Errorf(deviceops.ECONFLICT, "make the cluster's folder: %w", made)
	}
	if made == nil || !h.moved() {
		if err := h.account.own(h.dir); err != nil {
			return deviceops.Errorf(deviceops.ECONFLICT, "give %s to the server's user: %w", h.dir, err)
		}
	}
	if !h.account.owns(h.dir) { // also somebody who foresaw the name below /var/tmp
		return deviceops.Errorf(deviceops.ECONFLICT, "%s belongs to another user: start as that user, or with another data folder", h.dir)
	}
	if !h.moved() {
		return nil
	}
	return os.WriteFile(h.location(), []byte(h.dir+"\n"), 0o600)
}

// openTemporaryHome makes a new folder and holds a lock in it for as long as
// this process lives, by which others see that it is in use.
func openTemporaryHome(cfg Config) (home, func(), error) {
	none := func() {}
	if !cfg.Temporary {
		return home{}, none, deviceops.Errorf(deviceops.EINVALID, "a cluster that is kept needs a data folder")
	}
	a, err := serverAccount("")
	if err != nil {
		return home{}, none, err
	}
	parent, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil || !a.reaches(filepath.Join(parent, temporaryPrefix)) {
		parent = elsewhere
	}
	sweep(parent, a)
	dir, err := os.MkdirTemp(parent, temporaryPrefix)
	if err != nil {
		return home{}, none, deviceops.Errorf(deviceops.EUNAVAILABLE, "make a temporary folder: %w", err)
	}
	lock, err := claim(filepath.Join(dir, "owner"), os.O_CREATE)
	if err != nil {
		return home{}, none, deviceops.Errorf(deviceops.EUNAVAILABLE, "lock the temporary folder: %w", err)
	}
	h := home{dir: dir, wanted: dir, account: a}
	return h, func() { lock.Close() }, a.own(dir)
}

// sweep removes temporary clusters whose process is gone: a test that was
// killed or that timed out could not do it.
func sweep(parent string, a account) {
	dirs, _ := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*"))
	for _, dir := range dirs {
		h := home{dir: dir, account: a}
		if !a.owns(dir) {
			continue
		}
		lock, err := claim(filepath.Join(dir, "owner"), 0)
		if err != nil {
			continue // in use, or being made
		}
		if pid, err := h.readPIDFile(); err == nil && isPostgres(pid.pid) {
			watch(pid.pid).quit()
		}
		os.RemoveAll(dir)
		lock.Close()
	}
}

// claim locks a file for this process. The lock ends with the process, however
// that ends.
func claim(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// writePassword makes up the superuser's password.
func (h home) writePassword() error {
	if err := os.WriteFile(h.password(), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "write the cluster's password: %w", err)
	}
	return h.account.own(h.password())
}
