package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// fileSink appends JSON lines to a file, which it puts aside from time to time.
// Others may append to the same file: each holds its lock while it writes or puts
// it aside, and looks whether it is still there.
type fileSink struct {
	*dsl.FileTarget
	folder  string
	account string
	now     func() time.Time

	mu   sync.Mutex
	root *os.Root // nil: not opened
	file *os.File // nil: not opened
}

func (s *fileSink) most() int { return pageSize }

func (s *fileSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
	if s.root != nil {
		_ = s.root.Close()
	}
}

func (s *fileSink) shut() {
	if s.file != nil {
		_ = s.file.Close() // what was delivered is synced
		s.file = nil
	}
}

// send returns when the lines are on the disk.
func (s *fileSink) send(_ context.Context, records []*record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines bytes.Buffer
	for _, r := range records {
		lines.Write(r.body)
		lines.WriteByte('\n')
	}
	if err := s.append(lines.Bytes()); err != nil {
		s.shut() // the next try opens it anew, and cuts off what was written of a line
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "write %s: %w", s.Path, err)
	}
	return nil
}

func (s *fileSink) append(lines []byte) error {
	for {
		if err := s.hold(); err != nil {
			return err
		}
		full, err := s.full(len(lines))
		if err != nil {
			return err
		}
		if !full {
			break
		}
		if err := s.putAside(); err != nil {
			return err
		}
	}
	defer unlock(s.file)
	if _, err := s.file.Write(lines); err != nil {
		return err
	}
	return s.file.Sync()
}

// hold opens the file and locks it. One that was renamed or removed meanwhile, by
// whoever it may be, is not the file any more.
func (s *fileSink) hold() error {
	for {
		if err := s.open(); err != nil {
			return err
		}
		if err := lock(s.file); err != nil {
			return err
		}
		held, err := s.file.Stat()
		if err != nil {
			return err
		}
		if there, err := s.root.Stat(s.Path); err == nil && os.SameFile(held, there) {
			return nil
		}
		s.shut()
	}
}

// full cuts off what is no whole line and reports whether the file is to be put
// aside before so many bytes more are written.
func (s *fileSink) full(more int) (bool, error) {
	info, err := s.file.Stat() // before it is cut, which is now
	if err != nil {
		return false, err
	}
	size, err := wholeLines(s.file, info.Size())
	if err != nil || size == 0 {
		return false, err
	}
	return size+int64(more) > s.Size || s.Daily && today(info.ModTime()) != today(s.now()), nil
}

func today(now time.Time) string { return now.UTC().Format(time.DateOnly) }

func (s *fileSink) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.folder == "" {
		return errors.New("this installation gives routes no folder; set --route-folder")
	}
	if err := s.openRoot(); err != nil {
		return err
	}
	s.file, err = s.root.OpenFile(s.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	return err
}

// openRoot opens the folder of the account, which files of routes cannot leave.
func (s *fileSink) openRoot() error {
	if s.root == nil {
		folder := path.Join(s.folder, s.account)
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
		root, err := os.OpenRoot(folder)
		if err != nil {
			return err
		}
		s.root = root
	}
	return s.root.MkdirAll(path.Dir(s.Path), 0o750)
}

// wholeLines cuts off the beginning of a line that a crash left at the end of a
// file of a size, and gives what is left. Its event was not noted as delivered.
func wholeLines(file *os.File, size int64) (int64, error) {
	block := make([]byte, 1) // as a rule it ends with a line
	for end := size; end > 0; block = make([]byte, 64<<10) {
		n := min(end, int64(len(block)))
		if _, err := file.ReadAt(block[:n], end-n); err != nil {
			return 0, err
		}
		end -= n
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			whole := end + int64(i) + 1
			if whole == size {
				return size, nil
			}
			return whole, file.Truncate(whole)
		}
	}
	if size == 0 {
		return 0, nil
	}
	return 0, file.Truncate(0)
}

// putAside renames the file, so that a new one begins.
func (s *fileSink) putAside() error {
	defer s.shut()
	aside, err := s.asideName()
	if err != nil {
		return err
	}
	if err := s.root.Rename(s.Path, aside); err != nil {
		return err
	}
	return s.prune()
}

const asideTime = "20060102T150405Z"

// asideName puts the time, and a number where that is taken, before the ending.
func (s *fileSink) asideName() (string, error) {
	stem, ending := s.parts()
	base := stem + s.now().UTC().Format(asideTime)
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s-%03d%s", base, n, ending)
		_, err := s.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}

func (s *fileSink) parts() (stem, ending string) {
	ending = path.Ext(s.Path)
	return strings.TrimSuffix(s.Path, ending) + "-", ending
}

// prune removes the oldest files that were put aside, beyond Keep.
func (s *fileSink) prune() error {
	if s.Keep == 0 {
		return nil
	}
	entries, err := fs.ReadDir(s.root.FS(), path.Dir(s.Path))
	if err != nil {
		return err
	}
	stem, ending := s.parts()
	var aside []string
	for _, e := range entries {
		middle, ok := strings.CutPrefix(path.Join(path.Dir(s.Path), e.Name()), stem)
		middle, isEnd := strings.CutSuffix(middle, ending)
		if _, err := time.Parse(asideTime, strings.Split(middle, "-")[0]); ok && isEnd && err == nil {
			aside = append(aside, path.Join(path.Dir(s.Path), e.Name()))
		}
	}
	slices.Sort(aside)
	for _, name := range aside[:max(0, len(aside)-s.Keep)] {
		if err := s.root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
