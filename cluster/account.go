package cluster

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/deviceops/deviceops"
)

// account is the user that the server runs as. PostgreSQL refuses to run as
// root, so root hands it to another one; the zero account is the current user.
type account struct {
	uid, gid uint32
	switched bool
}

// serverAccount chooses the account for a cluster in dir: whoever owns it
// already, else postgres, else nobody.
func serverAccount(dir string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	if a, ok := ownerOf(dir); ok && a.uid != 0 {
		return a, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return account{}, deviceops.Errorf(deviceops.EUNAVAILABLE,
		"PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody: start as an ordinary user")
}

func ownerOf(path string) (account, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return account{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, false
	}
	return account{uid: st.Uid, gid: st.Gid, switched: true}, true
}

// attributes start a process as the account, and in a process group of its
// own, so that Ctrl-C in a terminal reaches us alone and we end the server in
// our own order.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// owns tells whether the account owns path.
func (a account) owns(path string) bool {
	owner, ok := ownerOf(path)
	if !a.switched {
		return ok && int(owner.uid) == os.Geteuid()
	}
	return ok && owner.uid == a.uid
}

// reaches tells whether the account may pass through every parent of path.
func (a account) reaches(path string) bool {
	if !a.switched {
		return true
	}
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		if info, err := os.Stat(parent); err == nil && !a.passes(info) {
			return false
		}
		if parent == filepath.Dir(parent) {
			return true
		}
	}
}

// passes tells whether the account may search a folder.
func (a account) passes(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch mode := info.Mode().Perm(); {
	case st.Uid == a.uid:
		return mode&0o100 != 0
	case st.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
