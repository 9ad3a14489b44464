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

// File gives secrets out of a JSON file: one object, references to values, such
// as {"ticketing/api-token": "...", "ticketing/jira#password": "..."}. It
// implements deviceops.Secrets for development: all accounts share the file, and
// it has one version of each secret, whichever a reference asks for. The file is
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
func (f *File) Secret(_ context.Context, account, reference string) (string, error) {
	ref, err := deviceops.ParseSecretRef(reference)
	if err != nil {
		return "", err
	}
	if err := ref.Authorize(account); err != nil {
		return "", err
	}
	secrets, err := f.read()
	if err != nil {
		return "", err
	}
	ref.Version = 0
	value, ok := secrets[ref.String()]
	if !ok {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %q in %s; it has %v", ref, f.path, slices.Sorted(maps.Keys(secrets)))
	}
	return value, nil
}

// Ensure stores what create gives under a reference, unless there is a value
// already. Processes that share the file may call it at the same time: one of
// them stores, and all find its value.
func (f *File) Ensure(reference string, create func() (string, error)) (err error) {
	ref, err := deviceops.ParseSecretRef(reference)
	if err != nil {
		return err
	}
	unlock, err := lock(f.path + ".lock")
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "lock the secrets file: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	secrets, err := f.read()
	if err != nil {
		return err
	}
	if _, ok := secrets[ref.String()]; ok {
		return nil
	}
	if secrets[ref.String()], err = create(); err != nil {
		return err
	}
	return f.write(secrets)
}

// write replaces the file as a whole: a reader finds the old one or the new one.
func (f *File) write(secrets map[string]string) error {
	data, err := json.MarshalIndent(secrets, "", "  ")
	if err == nil {
		err = os.WriteFile(f.path+".new", append(data, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(f.path+".new", f.path)
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "write the secrets file: %w", err)
	}
	return nil
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
	if secrets == nil {
		secrets = map[string]string{} // the file says null
	}
	return secrets, nil
}
