package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cli"
)

const greetSW = `document: { dsl: '1.0.3', namespace: shop, name: greet, version: '1.0.0' }
do:
  - greet:
      set: { text: '${ "Hi \(.name)" }' }
  - tell:
      emit: { event: { with: { source: https://example.com, type: shop.greeted, data: { text: '${ .text }' } } } }
`

func TestImportServerlessWorkflow(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	m.file("greet.yaml", greetSW)
	file := filepath.Join(m.dir, "greet.yaml")

	r := m.run("import", "serverless-workflow", file)
	require.Contains(t, r.done(), "workflow: greet\n")
	require.Contains(t, r.out, "# note: events carry no source")
	require.Contains(t, r.err, "greet.yaml:6:32: warning: events carry no source")

	m.file("translated.yaml", r.out)
	translated := filepath.Join(m.dir, "translated.yaml")
	require.Contains(t, m.run("validate", translated).done()+m.run("validate", translated).err, "no errors")

	out := filepath.Join(m.dir, "out.yaml")
	require.Empty(t, m.runWith(greetSW, "import", "serverless-workflow", "-", "--out", out).done())
	written, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, r.out, string(written))

	type imported struct {
		Name, Source string
		Diagnostics  []struct {
			Line int
			Code string
		}
	}
	asJSON := decoded[imported](m.run("import", "serverless-workflow", file, "-o", "json"))
	require.Equal(t, "greet", asJSON.Name)
	require.Equal(t, r.out, asJSON.Source)
	require.Equal(t, "approximated", asJSON.Diagnostics[0].Code)
}

func TestImportNamesWhatIsUnsupported(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	m.file("grpc.yaml", `document: { dsl: '1.0.3', namespace: shop, name: order, version: '1.0.0' }
do:
  - order:
      call: grpc
      with: {}
  - note:
      set: { at: '${ now | todate }' }
`)
	r := m.run("import", "serverless-workflow", filepath.Join(m.dir, "grpc.yaml"))
	require.Contains(t, r.failed(cli.ExitFailed), "3 errors in 1 file; nothing was translated")
	require.Empty(t, r.out)
	require.Contains(t, r.err, `grpc.yaml:4:13: error: call: grpc is not translated [unsupported]
  4 |       call: grpc
    |             ^^^^
fix: call the service over http, or add an action to the engine (activities.NewAction)
`)
	require.Contains(t, r.err, "grpc.yaml:7:22: error: the function now is not translated [jq-unsupported]")

	m.run("import", "serverless-workflow").failed(cli.ExitUsage)
	m.file("other.yaml", greetSW)
	require.Contains(t, m.run("import", "serverless-workflow", filepath.Join(m.dir, "*.yaml")).failed(cli.ExitUsage), "stands for 2 files")
	require.Contains(t, m.run("import", "serverless-workflow", "absent.yaml").failed(cli.ExitFailed), "there is no file absent.yaml")
	m.run("import", "temporal").failed(cli.ExitUsage)
}
