package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

func (a *app) validateCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "validate FILE...", Short: "Check YAML documents without a server", Args: args(1, 10_000),
		Long: `Checks files, directories (all *.yaml and *.yml below them) and patterns. What
one file says of a profile is known to the others. Exits with 1 on any error.

--format github writes annotations for GitHub Actions, json one array.`,
		Example: `  deviceops validate workflows/ profiles/
  deviceops validate 'fleet/*.yaml' --format github`,
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json or github")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if a.output == outputJSON {
			format = outputJSON
		}
		write := validationFormats[format]
		if write == nil {
			return Usage(fmt.Errorf("--format %s: use text, json or github", format))
		}
		sources, err := a.sources(args)
		if err != nil {
			return err
		}
		found, documents := a.checkAll(sources)
		if err := write(a.Out, found); err != nil {
			return err
		}
		if found.HasErrors() {
			return failed("%s", countErrors(found, len(sources)))
		}
		a.note("%s in %s: no errors", counted(documents, "document"), counted(len(sources), "file"))
		return nil
	}
	return cmd
}

var validationFormats = map[string]func(io.Writer, dsl.Diagnostics) error{
	"text": dsl.WriteText, "json": dsl.WriteJSON, "github": dsl.WriteGitHub,
}

func countErrors(found dsl.Diagnostics, files int) string {
	n := 0
	for _, d := range found {
		if d.Severity == dsl.SeverityError {
			n++
		}
	}
	return counted(n, "error") + " in " + counted(files, "file")
}

// counted gives a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// checkAll checks all sources, each knowing the profiles of the others.
func (a *app) checkAll(sources []deviceops.ApplyFile) (found dsl.Diagnostics, documents int) {
	profiles := map[string]*deviceops.Profile{}
	for _, s := range sources {
		compiled, _ := dsl.CheckFile(s.Name, s.Source, dsl.Options{})
		documents += len(compiled)
		for _, c := range compiled {
			if c.Profile != nil {
				profiles[c.Name] = c.Profile
			}
		}
	}
	for _, s := range sources {
		found = append(found, a.checkWith(s, profiles)...)
	}
	return found, documents
}

// checkWith checks a source against known profiles. When it names one that is
// not known, which may be published all the same, nothing is said of profiles
// outside the file.
func (a *app) checkWith(s deviceops.ApplyFile, profiles map[string]*deviceops.Profile) dsl.Diagnostics {
	unknown := false
	_, found := dsl.CheckFile(s.Name, s.Source, dsl.Options{Actions: a.Actions, Profile: func(name string) *deviceops.Profile {
		p := profiles[name]
		unknown = unknown || p == nil
		return p
	}})
	if unknown {
		_, found = dsl.CheckFile(s.Name, s.Source, dsl.Options{Actions: a.Actions})
	}
	return found
}

// sources reads files, directories, patterns and "-".
func (a *app) sources(given []string) ([]deviceops.ApplyFile, error) {
	var all []deviceops.ApplyFile
	for _, name := range given {
		if name == "-" {
			text, err := io.ReadAll(a.In)
			if err != nil {
				return nil, deviceops.Errorf(deviceops.EINVALID, "cannot read standard input: %w", err)
			}
			all = append(all, deviceops.ApplyFile{Name: "stdin", Source: string(text)})
			continue
		}
		files, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, deviceops.Errorf(deviceops.EINVALID, "cannot read %s: %w", file, err)
			}
			all = append(all, deviceops.ApplyFile{Name: filepath.ToSlash(file), Source: string(text)})
		}
	}
	return all, nil
}

// filesOf gives the files that a name stands for. A file that was named by
// itself may have any ending.
func filesOf(name string) ([]string, error) {
	matches, err := filepath.Glob(name)
	if err != nil {
		return nil, Usage(fmt.Errorf("pattern %s: %w", name, err))
	}
	if len(matches) == 0 {
		return nil, deviceops.Errorf(deviceops.EINVALID, "there is no file %s", name)
	}
	var files []string
	for _, match := range matches {
		below, err := yamlBelow(match)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	if len(files) == 0 {
		return nil, deviceops.Errorf(deviceops.EINVALID, "there is no *.yaml or *.yml below %s", name)
	}
	return files, nil
}

func yamlBelow(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ending := strings.ToLower(filepath.Ext(file))
		if !entry.IsDir() && (file == path || ending == ".yaml" || ending == ".yml") {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "cannot read %s: %w", path, err)
	}
	return files, nil
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the YAML documents, for editors", Args: args(0, 0),
		Long: `Editors with the YAML language server complete and check documents by it. Write it
to a file and name that in the first line of a document:
  # yaml-language-server: $schema=./deviceops.schema.json`,
		Example: "  deviceops schema > deviceops.schema.json",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.Out, "%s\n", strings.TrimRight(string(dsl.Schema(a.Actions...)), "\n"))
			return err
		},
	}
}
