package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/serverless"
)

func (a *app) importCommand() *cobra.Command {
	return group("import", "Turn workflows of other systems into documents", a.importServerlessCommand())
}

// imported is what the command gives as JSON or YAML.
type imported struct {
	Name        string          `json:"name"`
	Source      string          `json:"source"`
	Diagnostics dsl.Diagnostics `json:"diagnostics"`
}

func (a *app) importServerlessCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "serverless-workflow FILE", Short: "Translate a workflow of the CNCF Serverless Workflow DSL 1.0", Args: args(1, 1),
		Long: `Reads one workflow of the Serverless Workflow DSL 1.0, in YAML or JSON ("-" reads
standard input), and prints it as a DeviceOps workflow that "deviceops validate"
accepts. A workflow is translated whole or not at all: what has no counterpart
here is named with its line and what to do instead, and the exit code is 1. What
becomes nearly the same is a "# note:" in the translation and a warning on
standard error.

A run takes what was the input as the input "input" and gives what was the output
as the output "output". docs/import.md lists what is translated, and into what.`,
		Example: `  deviceops import serverless-workflow order.yaml > workflows/order.yaml
  deviceops import serverless-workflow order.json --out workflows/order.yaml
  curl -s https://example.com/order.yaml | deviceops import serverless-workflow -
  deviceops run order -i 'input={"petId": 7}' --wait`,
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write instead of standard output")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		files, err := a.sources(args)
		if err != nil {
			return err
		}
		if len(files) != 1 {
			return Usage(fmt.Errorf("%s stands for %d files: translate them one by one", args[0], len(files)))
		}
		return a.importServerless(files[0], out)
	}
	return cmd
}

// importServerless translates one file. As text the diagnostics go beside the
// result, as JSON and YAML into it.
func (a *app) importServerless(file deviceops.ApplyFile, out string) error {
	w, found := serverless.Import(file.Name, file.Source, a.Actions)
	asText := a.output == outputTable
	if asText {
		if err := dsl.WriteText(a.Err, found); err != nil {
			return err
		}
	} else if err := a.show(imported{w.Name, string(w.Source), append(dsl.Diagnostics{}, found...)}, nil); err != nil {
		return err
	}
	switch {
	case found.HasErrors():
		return failed("%s; nothing was translated", countErrors(found, 1))
	case out != "":
		if err := os.WriteFile(out, w.Source, 0o644); err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "cannot write %s: %w", out, err)
		}
		a.note("wrote the workflow %s to %s", w.Name, out)
	case asText:
		_, err := a.Out.Write(w.Source)
		return err
	}
	return nil
}
