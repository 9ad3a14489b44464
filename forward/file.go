package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
type fileSink struct {
	*dsl.FileTarget
	folder  string
	account string
	now     func() time.Time

	mu   sync.Mutex
	root *os.Root // nil: not opened
	file *os.File // nil: not opened
	size int64
	day  string // on which the file was begun, of Daily
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
	if err := s.open(); err != nil {
		return err
	}
	if s.size > 0 && (s.size+int64(len(lines)) > s.Size || s.Daily && s.day != today(s.now())) {
		if err := s.putAside(); err != nil {
			return err
		}
	}
	n, err := s.file.Write(lines)
	s.size += int64(n)
	if err == nil {
		err = s.file.Sync()
	}
	return err
}

func today(now time.Time) string { return now.UTC().Format(time.DateOnly) }

func (s *fileSink) open() error {
	if s.file != nil {
		return nil
	}
	if s.folder == "" {
		return errors.New("this installation gives routes no folder; set --route-folder")
	}
	if err := s.openRoot(); err != nil {
		return err
	}
	file, err := s.root.OpenFile(s.Path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	size, err := wholeLines(file)
	if err == nil {
		_, err = file.Seek(size, io.SeekStart)
	}
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr); err != nil {
		_ = file.Close()
		return err
	}
	s.file, s.size, s.day = file, size, today(info.ModTime())
	if size == 0 {
		s.day = today(s.now())
	}
	return nil
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
// file, and gives its size. Its event was not noted as delivered.
func wholeLines(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(end, int64(len(block)))
		if _, err := file.ReadAt(block[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			whole := end - n + int64(i) + 1
			if whole < size {
				return whole, file.Truncate(whole)
			}
			return size, nil
		}
		end -= n
	}
	return 0, file.Truncate(0)
}

// putAside renames the file and begins a new one.
func (s *fileSink) putAside() error {
	s.shut()
	aside, err := s.asideName()
	if err != nil {
		return err
	}
	if err := s.root.Rename(s.Path, aside); err != nil {
		return err
	}
	if err := s.prune(); err != nil {
		return err
	}
	return s.open()
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
