package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/deviceops/deviceops"
)

// Folder is the data folder of a stack. It remembers the ports, so that a
// restart answers where the last run did, and it is locked part by part, so
// that the parts of one stack can be processes of their own.
type Folder struct {
	dir   string
	locks []*os.File
}

// OpenFolder makes the folder unless it is there.
func OpenFolder(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		// PostgreSQL's user must be able to pass through.
		err = os.MkdirAll(dir, 0o711)
	}
	if err != nil {
		return nil, deviceops.Errorf(deviceops.ECONFLICT, "make the data folder: %w", err)
	}
	return &Folder{dir: dir}, nil
}

// Path is the path of something in the folder.
func (f *Folder) Path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

// Lock reserves parts for this process until Close or until the process ends,
// however it ends. It returns ECONFLICT with the process that holds one.
func (f *Folder) Lock(parts ...string) error {
	for _, part := range parts {
		file, err := lockFile(f.Path(part+".lock"), syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return deviceops.Errorf(deviceops.ECONFLICT,
				"the part %s in %s is run by %s: end that process or choose another --data", part, f.dir, holder(f.Path(part+".lock")))
		}
		if err != nil {
			return deviceops.Errorf(deviceops.ECONFLICT, "lock the data folder: %w", err)
		}
		f.locks = append(f.locks, file)
		file.Truncate(0)
		fmt.Fprintf(file, "%d\n", os.Getpid())
	}
	return nil
}

// Close gives up the locks.
func (f *Folder) Close() error {
	for _, file := range f.locks {
		file.Close()
	}
	f.locks = nil
	return nil
}

func lockFile(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|how); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func holder(path string) string {
	pid, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(pid)); err == nil && text != "" {
		return "process " + text
	}
	return "another process"
}

// memory is the content of dev.json.
type memory struct {
	Ports map[string]int `json:"ports"`
}

// Port gives a loopback port for name: the one of the last run, else preferred,
// else the next free one. The choice is remembered.
func (f *Folder) Port(name string, preferred int) (int, error) {
	var port int
	err := f.update(func(m *memory) error {
		first := preferred
		if last, ok := m.Ports[name]; ok {
			first = last
		}
		var err error
		port, err = freePort(first, m.Ports, name)
		m.Ports[name] = port
		return err
	})
	return port, err
}

// RememberPort notes a port that was decided elsewhere.
func (f *Folder) RememberPort(name string, port int) error {
	return f.update(func(m *memory) error {
		m.Ports[name] = port
		return nil
	})
}

// KnownPort is the port of a part that another process runs. It returns
// ENOTFOUND when no run has chosen one yet.
func (f *Folder) KnownPort(name string) (int, error) {
	m, err := f.read()
	if err != nil {
		return 0, err
	}
	port, ok := m.Ports[name]
	if !ok {
		return 0, deviceops.Errorf(deviceops.ENOTFOUND, "%s has never run in %s: start the part %s first", name, f.dir, name)
	}
	return port, nil
}

// update changes dev.json, one process at a time.
func (f *Folder) update(change func(*memory) error) error {
	lock, err := lockFile(f.Path("dev.lock"), 0)
	if err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "lock dev.json: %w", err)
	}
	defer lock.Close()
	m, err := f.read()
	if err != nil {
		return err
	}
	if err := change(&m); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(f.Path("dev.json"), append(text, '\n'))
}

func (f *Folder) read() (memory, error) {
	m := memory{Ports: map[string]int{}}
	text, err := os.ReadFile(f.Path("dev.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, deviceops.Errorf(deviceops.ECONFLICT, "read %s: %w; remove the file to have ports chosen anew", f.Path("dev.json"), err)
	}
	return m, nil
}

// replaceFile writes a file so that a kill leaves the old or the new content.
func replaceFile(path string, content []byte) error {
	draft := path + ".new"
	if err := os.WriteFile(draft, content, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

// freePort tries first and the hundred ports above it, without those that the
// folder has promised to others, and then asks the system. 0 asks at once.
func freePort(first int, promised map[string]int, name string) (int, error) {
	taken := map[int]bool{}
	for other, port := range maps.All(promised) {
		taken[port] = taken[port] || other != name
	}
	for port := first; port != 0 && port < min(first+100, 1<<16); port++ {
		if !taken[port] && isFree(port) {
			return port, nil
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, deviceops.Errorf(deviceops.EUNAVAILABLE, "find a free port for %s: %w", name, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// loopback is the address of a port on this machine.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
