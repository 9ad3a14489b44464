package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// target is a server and the token for it.
type target struct {
	Server string `yaml:"server"`
	Token  string `yaml:"token"`
}

// contexts is the content of the file of contexts.
type contexts struct {
	Current  string            `yaml:"current"`
	Contexts map[string]target `yaml:"contexts"`
}

// SaveContext writes a context and makes it the current one, in
// $XDG_CONFIG_HOME/deviceops/config.yaml or ~/.config/deviceops/config.yaml.
// Only the user can read the file.
func SaveContext(name, server, token string) error {
	return saveContext(os.Getenv, name, target{Server: server, Token: token})
}

func saveContext(getenv func(string) string, name string, t target) error {
	path, err := contextPath(getenv)
	if err != nil {
		return err
	}
	all, err := readContexts(path)
	if err != nil {
		return err
	}
	all.Current = name
	all.Contexts[name] = t
	return writeContexts(path, all)
}

func contextPath(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "deviceops", "config.yaml"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "deviceops", "config.yaml"), nil
	}
	return "", deviceops.Errorf(deviceops.EINVALID, "there is no place for the context: set HOME or XDG_CONFIG_HOME")
}

func readContexts(path string) (contexts, error) {
	all := contexts{Contexts: map[string]target{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, deviceops.Errorf(deviceops.EINVALID, "cannot read the contexts: %w", err)
	}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return all, deviceops.Errorf(deviceops.EINVALID, "%s is not as deviceops wrote it; correct or remove it: %w", path, err)
	}
	if all.Contexts == nil {
		all.Contexts = map[string]target{}
	}
	return all, nil
}

// writeContexts replaces the file in one step, so that no reader sees half of
// it, and never lets others read the tokens.
func writeContexts(path string, all contexts) error {
	data, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot write the context: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".config-*") // made with mode 0600
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot write the context: %w", err)
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(data)
	if err := errors.Join(err, draft.Close()); err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot write the context: %w", err)
	}
	return os.Rename(draft.Name(), path)
}

// target gives the server to talk to: flags over environment over context. The
// token of a context goes to that context's server only.
func (a *app) target() (target, error) {
	saved, err := a.savedContext()
	if err != nil {
		return target{}, err
	}
	t := target{Server: cmp.Or(a.server, a.Getenv("DEVICEOPS_SERVER"), saved.Server), Token: cmp.Or(a.token, a.Getenv("DEVICEOPS_TOKEN"))}
	if t.Token == "" && t.Server == saved.Server {
		t.Token = saved.Token
	}
	if t.Server == "" {
		return t, deviceops.Errorf(deviceops.EUNAVAILABLE, "no server is named")
	}
	return t, nil
}

// savedContext gives the context that --context names, or the current one.
func (a *app) savedContext() (target, error) {
	path, err := contextPath(a.Getenv)
	if err != nil {
		return target{}, nil // without a home there are no contexts
	}
	all, err := readContexts(path)
	if err != nil {
		return target{}, err
	}
	name := cmp.Or(a.context, a.Getenv("DEVICEOPS_CONTEXT"), all.Current)
	saved, ok := all.Contexts[name]
	if !ok && a.context != "" {
		return target{}, deviceops.Errorf(deviceops.EINVALID, "there is no context %q in %s", a.context, path)
	}
	return saved, nil
}
