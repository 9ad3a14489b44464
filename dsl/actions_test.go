package dsl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/activities"
)

// checked are the options with which an installation checks: all its actions
// are known.
var checked = Options{Actions: activities.Actions()}

// request is a workflow with one http.request and a step after it.
func request(with, after string) string {
	return "workflow: w\ninputs: { n: integer, t: string, device: device }\nsteps:\n  - id: call\n    action: http.request\n    with:\n      " +
		strings.ReplaceAll(with, "\n", "\n      ") + "\n  - set: { x: " + after + " }\n"
}

func TestArgumentsOfActionsAreTyped(t *testing.T) {
	t.Parallel()
	const url = "url: https://example.com\n"
	for name, c := range map[string]struct{ with, code, message string }{
		"a nested secret":            {url + "auth: { basic: { username: maria, password: \"secret:erp/token\" } }", "", ""},
		"all kinds":                  {url + "method: POST\nexpect: [200, 201]\ntimeout: 1h30m\njson: { a: [1, \"${{ inputs.t }}\"] }\nquery: { n: 5, s: x }\nheaders: { X-Site: paris }", "", ""},
		"an integer from an input":   {url + "max_response: ${{ inputs.n }}", "", ""},
		"a list from an expression":  {url + "expect: \"${{ [200] }}\"", "", ""},
		"a secret in clear":          {url + "auth: { bearer: abc }", "secret-place", "auth.bearer takes a reference to a secret, never its value"},
		"a secret of an expression":  {url + "auth: { bearer: \"${{ inputs.t }}\" }", "secret-place", "auth.bearer takes a reference to a secret, never its value"},
		"a secret where text is":     {"url: secret:erp/url", "secret-place", "a secret cannot be used here"},
		"a secret in a body":         {url + "json: { token: \"secret:erp/token\" }", "secret-place", "a secret cannot be used here"},
		"a path that is none":        {url + "auth: { bearer: \"secret:../x\" }", "secret-place", ""},
		"a nested argument missing":  {url + "auth: { basic: { username: maria } }", "missing-argument", "the action http.request needs the argument \"auth.basic.password\": the password"},
		"a nested name":              {url + "auth: { baerer: \"secret:a\" }", "unknown-key", "auth has no key \"baerer\"; did you mean bearer?"},
		"a name":                     {url + "methd: GET", "unknown-key", "the action http.request has no key \"methd\"; did you mean method?"},
		"a value out of an enum":     {url + "method: get", "bad-argument", ""},
		"a number that is too small": {url + "max_response: 10", "bad-argument", ""},
		"text where a number is":     {url + "max_response: much", "bad-argument", ""},
		"text in a list of numbers":  {url + "expect: [ok]", "bad-argument", ""},
		"a map where a number is":    {url + "max_response: { a: 1 }", "wrong-type", "max_response must be a whole number, and this is a map"},
		"no list":                    {url + "expect: 200", "wrong-type", "expect must be a list, and this is the number 200"},
		"no duration":                {url + "timeout: soon", "bad-duration", ""},
		"a number for text":          {"url: ${{ inputs.n }}", "expression-type", "text is needed, and this gives integer"},
		"text for a number":          {url + "max_response: ${{ inputs.t }}", "expression-type", "a number is needed, and this gives string"},
		"text for a map":             {url + "headers: ${{ inputs.t }}", "expression-type", "a map is needed, and this gives string"},
		"nothing":                    {"method: GET", "missing-argument", "the action http.request needs the argument \"url\": where to, http or https, without credentials"},
	} {
		_, found := CheckFile("w.yaml", request(c.with, "1"), checked)
		if c.code == "" {
			require.NoError(t, found.Err(), name)
			continue
		}
		require.Len(t, found, 1, "%s: %v", name, found)
		require.Equal(t, c.code, found[0].Code, name)
		if c.message != "" {
			require.Equal(t, c.message, found[0].Message, name)
		}
	}
}

func TestOutputsOfActionsAreTyped(t *testing.T) {
	t.Parallel()
	for after, code := range map[string]string{
		`"${{ steps.call.output.status == 201 }}"`:       "",
		`"${{ steps.call.output.json.id.x }}"`:           "",
		`"${{ steps.call.output.headers.location }}"`:    "",
		`"${{ steps.call.output.stats }}"`:               "unknown-name",
		`"${{ steps.call.output.status + \"a\" }}"`:      "expression-type",
		`"${{ steps.call.output.body startsWith 201 }}"`: "expression-type",
	} {
		source := request("url: https://example.com", after)
		_, found := CheckFile("w.yaml", source, checked)
		if code == "" {
			require.NoError(t, found.Err(), after)
			continue
		}
		require.Len(t, found, 1, after)
		require.Equal(t, code, found[0].Code, after)
	}
	device := "profile: kiosk\nattributes: { panel: string }\n---\nworkflow: w\ninputs: { device: device kiosk }\ndevice: ${{ inputs.device }}\n" +
		"steps:\n  - id: now\n    action: device.get\n  - set: { x: \"${{ steps.now.output.attributes.%s }}\" }\n"
	_, found := CheckFile("w.yaml", sprintf(device, "panel"), checked)
	require.NoError(t, found.Err())
	_, found = CheckFile("w.yaml", sprintf(device, "panle"), checked)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Message, "did you mean panel?")
}

func TestExamplesOfActionsAreRight(t *testing.T) {
	t.Parallel()
	for _, spec := range checked.Actions {
		steps := "  " + strings.ReplaceAll(spec.Example, "\n", "\n  ")
		if strings.Contains(steps, "steps.ticket") {
			steps = "  - id: ticket\n    action: ticket.open\n    with: { title: dark }\n" + steps
		}
		if strings.Contains(steps, "error.message") {
			steps = "  - try:\n      - fail: dark\n    catch:\n" + "    " + strings.ReplaceAll(steps, "\n", "\n    ")
		}
		source := "workflow: w\ninputs: { device: device }\ndevice: ${{ inputs.device }}\nsteps:\n" + steps + "\n"
		docs, found := CheckFile(spec.Name+".yaml", source, checked)
		require.NoError(t, found.Err(), "%s\n%s", source, found)
		require.NotNil(t, docs[0].Program)
		require.Empty(t, schemaErrors(t, compiledSchema(t), source), spec.Name)
	}
}

func TestCompiledActionsKeepReferences(t *testing.T) {
	t.Parallel()
	program, found := Compile(request("url: https://example.com\nauth: { basic: { username: maria, password: \"secret:erp/token\" } }", "1"))
	require.NoError(t, found.Err())
	args, err := program.Root.Steps[0].Op.(*Action).Args.Map(Env{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"basic": map[string]any{"username": "maria", "password": "secret:erp/token"}}, args["auth"])
}
