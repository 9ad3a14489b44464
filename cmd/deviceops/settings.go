package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

const environmentPrefix = "DEVICEOPS_"

// settle gives every flag that was not set on the command line its value from
// the environment (--database-url is DEVICEOPS_DATABASE_URL), else from the YAML
// file (database-url: ...), else leaves its default. An unknown key in the file
// is an error: a setting that is silently ignored is worse than none.
func settle(cmd *cobra.Command, file string, lookup func(string) (string, bool)) error {
	settings, err := readSettings(file)
	if err != nil {
		return err
	}
	for key := range settings {
		if cmd.Flags().Lookup(key) == nil {
			return deviceops.Errorf(deviceops.EINVALID, "%s: there is no setting %q; see deviceops %s --help", file, key, cmd.Name())
		}
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "config" {
			return
		}
		if value, ok := lookup(environmentName(f.Name)); ok {
			errs = append(errs, set(cmd, f.Name, value, environmentName(f.Name)))
		} else if value, ok := settings[f.Name]; ok {
			errs = append(errs, set(cmd, f.Name, value, file))
		}
	})
	return errors.Join(errs...)
}

func set(cmd *cobra.Command, flag, value, source string) error {
	if err := cmd.Flags().Set(flag, value); err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "%s for --%s: %w", source, flag, err)
	}
	return nil
}

// environmentName gives the variable that stands for a flag.
func environmentName(flag string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readSettings reads a flat YAML mapping. No file name gives no settings.
func readSettings(file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no settings file %s", file)
	}
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "settings file: %w", err)
	}
	var raw map[string]any
	if err := yaml.Load(text, &raw); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "settings file %s: %w", file, err)
	}
	settings := make(map[string]string, len(raw))
	for key, value := range raw {
		settings[key] = settingText(value)
	}
	return settings, nil
}

// settingText gives a value as a flag would be written: lists with commas.
func settingText(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	var parts []string
	for _, item := range list {
		parts = append(parts, fmt.Sprint(item))
	}
	return strings.Join(slices.Clip(parts), ",")
}
