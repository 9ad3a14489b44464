// Package vault gives secrets by reference. In development they come from a
// file that only its owner may read.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/deviceops/deviceops"
)

// File gives secrets out of a JSON file: one object, paths to values, such as
// {"ticketing/api-token": "..."}. It implements deviceops.Secrets. The file is
// read at every call, so an edit counts at once and nothing lingers in memory.
type File struct {
	path string
}

// OpenFile gives the secrets in the file at path and makes an empty one, with
// mode 0600, where there is none. EINVALID when the file can't be read as
// secrets, EFORBIDDEN when others may read it.
func OpenFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "folder of the secrets file %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		_, err = f.WriteString("{}\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "secrets file %s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, deviceops.Errorf(deviceops.EINVALID, "secrets file %s: %w", path, err)
	}
	file := &File{path: path}
	_, err = file.read()
	return file, err
}

// Secret implements deviceops.Secrets.
func (f *File) Secret(_ context.Context, path string) (string, error) {
	secrets, err := f.read()
	if err != nil {
		return "", err
	}
	value, ok := secrets[path]
	if !ok {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %q in %s; it has %v", path, f.path, slices.Sorted(maps.Keys(secrets)))
	}
	return value, nil
}

func (f *File) read() (map[string]string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "secrets file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, deviceops.Errorf(deviceops.EFORBIDDEN, "secrets file %s may be read by others; run: chmod 600 %s", f.path, f.path)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "secrets file: %w", err)
	}
	var secrets map[string]string
	if err := json.Unmarshal(data, &secrets); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "secrets file %s: want one JSON object of paths and values: %w", f.path, err)
	}
	return secrets, nil
}
