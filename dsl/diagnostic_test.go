package dsl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const brokenSource = "workflow: w\nsteps:\n  - if: inputs.x\n    wait: 1m\n  - wait: PT5M\n"

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	_, found := CheckFile("w.yaml", brokenSource, checked)
	var b strings.Builder
	require.NoError(t, WriteJSON(&b, found))
	var back Diagnostics
	require.NoError(t, json.Unmarshal([]byte(b.String()), &back))
	require.Equal(t, found, back)
	require.Equal(t, Diagnostic{
		File: "w.yaml", Line: 3, Column: 16, EndColumn: 17, Severity: SeverityError, Code: "unknown-name",
		Message: `there is no input "x"`, Fix: "declare it under inputs:", Snippet: "  - if: inputs.x",
	}, back[0])

	b.Reset()
	require.NoError(t, WriteJSON(&b, nil))
	require.Equal(t, "[]\n", b.String())
}

func TestWriteGitHub(t *testing.T) {
	t.Parallel()
	_, found := CheckFile("a,b:100%.yaml", brokenSource, checked)
	var b strings.Builder
	require.NoError(t, WriteGitHub(&b, found))
	require.Equal(t, `::error file=a%2Cb%3A100%25.yaml,line=3,col=16,endColumn=17,title=unknown-name::there is no input "x"%0Afix: declare it under inputs:
::error file=a%2Cb%3A100%25.yaml,line=5,col=11,endColumn=15,title=bad-duration::wait must be a duration, and "PT5M" is none%0Afix: write 5m
`, b.String())
}

func TestDiagnosticsErr(t *testing.T) {
	t.Parallel()
	require.NoError(t, Diagnostics{{Severity: SeverityWarning}}.Err())
	_, found := CheckFile("w.yaml", brokenSource, checked)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(found.Err()))
	require.True(t, strings.HasPrefix(found.Err().Error(), "w.yaml:3:16: error: there is no input"))
}

// The caret stands under the name wherever and however the value is written.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"plain":                 "    message: a ${{ inputs.WRONG }}",
		"plain over lines":      "    message: some text\n      and more ${{ inputs.WRONG }}",
		"plain after blank":     "    message: some text\n\n      and more ${{ inputs.WRONG }}",
		"double quotes":         `    message: "a ${{ inputs.WRONG }}"`,
		"escapes":               `    message: "\t\"ä\x41\u00e4\U0001F600\\ ${{ inputs.WRONG }}"`,
		"escaped line end":      "    message: \"a \\\n      b ${{ inputs.WRONG }}\"",
		"folded double quotes":  "    message: \"a\n\n      b ${{ inputs.WRONG }}\"",
		"single quotes":         `    message: 'it''s ''${{ inputs.WRONG }}'`,
		"wide characters":       `    message: "日本 😀 ${{ inputs.WRONG }}"`,
		"literal block":         "    message: |\n      first\n\n        ${{ inputs.WRONG }}\n      last",
		"literal block, clip":   "    message: |2-\n      ${{ inputs.WRONG }}",
		"folded block":          "    message: >-\n      first\n      second ${{ inputs.WRONG }}\n\n      third",
		"wide key":              `    message: { é日: [1, "${{ inputs.WRONG }}"] }`,
		"flow map":              `    message: { a: [1, "${{ inputs.WRONG }}"] }`,
		"after a comment":       "    message:\n      # a comment\n      text ${{ inputs.WRONG }}",
		"expression over lines": "    message: \"${{\n      1 +\n      inputs.WRONG }}\"",
		"after other templates": `    message: ${{ run.id }}-${{ "}}" }}-${{ inputs.WRONG }}`,
		"map in an expression":  `    message: "${{ {a: {b: inputs.WRONG}} }}"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "workflow: w\nsteps:\n- set:\n" + source + "\n- wait: 1m\n"
			_, found := CheckFile("w.yaml", text, checked)
			require.Len(t, found, 1)
			before, _, _ := strings.Cut(text, "WRONG")
			line := strings.Count(before, "\n") + 1
			column := runes(before[strings.LastIndexByte(before, '\n')+1:]) + 1
			require.Equal(t, `there is no input "WRONG"`, found[0].Message)
			require.Equal(t, []int{line, column, column + len("WRONG")}, []int{found[0].Line, found[0].Column, found[0].EndColumn})
		})
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	known := []string{"battery", "device", "mode", "id"}
	for name, want := range map[string]string{
		"batery": "battery", "Battery": "battery", "batteyr": "battery", "devise": "device", "mod": "mode", "site": "", "x": "", "": "",
		strings.Repeat("x", 5000): "",
	} {
		require.Equal(t, want, closest(name, known), name)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"30s": "30s", "90s": "1m30s", "1.5h": "1h30m", "24h": "1d", "1h30m": "1h30m", "250ms": "250ms", "0s": "0s", "7d": "7d",
	} {
		d, err := ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, FormatDuration(d))
	}
	for text, want := range map[string]string{
		"PT30M":                        `"PT30M" is not a duration: write 30m`,
		"P2W":                          `"P2W" is not a duration: write 14d`,
		"30":                           `"30" is not a duration: say the unit, such as 30s or 30m`,
		"-5m":                          `"-5m" is not a duration: write a number and ms, s, m, h or d, such as 30s, 10m, 2h or 7d`,
		"":                             `"" is not a duration: write a number and ms, s, m, h or d, such as 30s, 10m, 2h or 7d`,
		"5y":                           `"5y" is not a duration: write a number and ms, s, m, h or d, such as 30s, 10m, 2h or 7d`,
		"9999d":                        `"9999d" is longer than the longest duration, 3650d`,
		strings.Repeat("9", 400) + "d": `"` + strings.Repeat("9", 400) + `d" is not a duration: write a number and ms, s, m, h or d, such as 30s, 10m, 2h or 7d`,
	} {
		_, err := ParseDuration(text)
		require.EqualError(t, err, want)
	}
	require.Equal(t, "-1m", FormatDuration(-1*60*1e9))
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	type number int32
	for _, test := range []struct{ given, want any }{
		{1, int64(1)}, {uint8(3), int64(3)}, {number(4), int64(4)}, {2.0, int64(2)}, {2.5, 2.5}, {float32(0.5), 0.5},
		{1e300, 1e300}, {uint64(1 << 63), 9.223372036854775808e18}, {json.Number("7"), int64(7)}, {json.Number("1e400"), nil},
		{[]string{"a"}, []any{"a"}}, {map[string]int{"a": 1}, map[string]any{"a": int64(1)}}, {map[any]any{1: "x"}, map[string]any{"1": "x"}},
		{struct{ A int }{1}, map[string]any{"A": int64(1)}}, {func() {}, nil}, {nil, nil},
	} {
		require.Equal(t, test.want, Canonical(test.given))
	}
	_, err := DecodeJSON([]byte(`{"a": 1} 2`))
	require.Error(t, err)
	_, err = DecodeJSON([]byte(`{`))
	require.Error(t, err)
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, given := range map[string]any{
		"": nil, "a": "a", "true": true, "12": int64(12), "2.5": 2.5, "80": 80.0, "1e+300": 1e300,
		`{"a":"<b>","c":[1,null]}`: map[string]any{"c": []any{int64(1), nil}, "a": "<b>"}, `["x"]`: []string{"x"}, "<func()>": func() {},
	} {
		require.Equal(t, want, Format(given))
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"at most 4194304":                strings.Repeat("# x\n", MaxFile/4+1),
		"at most 262144":                 "workflow: w\nsteps:\n  - wait: 1m\n" + strings.Repeat("# x\n", MaxDocument/4),
		"at most 200":                    strings.Repeat("---\nworkflow: w\nsteps: [ { wait: 1m } ]\n", MaxDocuments+1),
		"a workflow may have 1000 steps": "workflow: w\nsteps:\n" + strings.Repeat("  - wait: 1m\n", MaxSteps+1),
		"nested more than 40 deep":       "workflow: w\nsteps: " + strings.Repeat("[", 5000),
		"there are 201 inputs":           "workflow: w\nsteps: [ { wait: 1m } ]\ninputs:\n" + manyNames(MaxNames+1),
		"this document is not UTF-8":     "workflow: w\nsteps: \xff\n",
	} {
		_, found := CheckFile("w.yaml", text, checked)
		require.Error(t, found.Err(), name)
		if !strings.Contains(name, "deep") { // the reader has a limit of its own
			require.Contains(t, found.Err().Error(), name)
		}
	}
	_, found := CheckFile("w.yaml", "workflow: w\nsteps:\n"+strings.Repeat("  - wiat: 1m\n", 400), checked)
	require.Len(t, found, maxProblems)
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  n%d: string\n", i)
	}
	return b.String()
}
