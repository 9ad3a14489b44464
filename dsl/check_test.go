package dsl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// codes gives the codes of diagnostics, in order.
func codes(found Diagnostics) []string {
	var all []string
	for _, d := range found {
		all = append(all, d.Code)
	}
	return all
}

const typedSource = `workflow: w
inputs: { device: device kiosk, other: device gateway }
device: ${{ inputs.device }}
steps:
  - id: health
    command: helth
  - command: ping
    device: ${{ inputs.other }}
  - if: device.metrics.batery_pct < 20
    command: install
`

// What is published is known beside what is in the file.
func TestPublishedProfiles(t *testing.T) {
	t.Parallel()
	kiosk, found := CompileProfile("profile: kiosk\ncommands: { health: }\nmetrics: { battery_pct: number }\n")
	require.NoError(t, found.Err())
	opts := Options{Profile: func(name string) *deviceops.Profile {
		return map[string]*deviceops.Profile{"kiosk": kiosk}[name]
	}}
	_, found = CheckFile("w.yaml", typedSource, opts)
	require.Equal(t, []string{"unknown-name", "unknown-command", "unknown-name"}, codes(found))
	require.Contains(t, found[0].Message, `there is no profile "gateway"`)
	require.Equal(t, "write battery_pct", found[2].Fix)

	_, found = CheckFile("w.yaml", typedSource, checked)
	require.Empty(t, found, "what is published is not known, so nothing can be said")

	_, found = CheckFile("w.yaml", typedSource+"---\nprofile: kiosk\ncommands: { helth: }\nmetrics: { batery_pct: number }\n---\nprofile: gateway\n", opts)
	require.Equal(t, []string{"unknown-command"}, codes(found), "profiles of the file come first, wherever they stand")
}

func TestCheckFileGivesDocumentsInOrder(t *testing.T) {
	t.Parallel()
	docs, found := CheckFile("x.yaml", "# head\n---\nworkflow: w\nversion: 4\nsteps: [ { wait: 1m } ]\n---\nprofile: p\n---\nworkflow: broken\n---\ngadget: g\n", checked)
	require.Len(t, docs, 3)
	require.Equal(t, []string{"missing-key", "unknown-kind"}, codes(found))
	require.Equal(t, []string{"w", "p", "broken"}, []string{docs[0].Name, docs[1].Name, docs[2].Name})
	require.Equal(t, 4, docs[0].Version)
	require.Equal(t, 3, docs[0].Line)
	require.Equal(t, "workflow: w\nversion: 4\nsteps: [ { wait: 1m } ]\n", docs[0].Source)
	require.Equal(t, docs[0].Hash, docs[0].Program.Hash)
	require.NotNil(t, docs[1].Profile)
	require.Nil(t, docs[2].Program)
}

// The list of what this version does not read is told apart from what nobody
// reads.
func TestFutureWords(t *testing.T) {
	t.Parallel()
	for _, key := range futureModifiers {
		_, found := CheckFile("x.yaml", "workflow: w\nsteps:\n  - wait: 1m\n    "+key+": x\n", checked)
		require.Equal(t, []string{"unsupported-key"}, codes(found), key)
	}
}

func TestMissingAfterTry(t *testing.T) {
	t.Parallel()
	const form = `workflow: w
device: k1
steps:
  - try:
      - id: a
        command: health
    catch:
      - %s
  - return: ${{ steps.a.output }}
`
	for last, want := range map[string][]string{
		"fail: no luck":                        nil,
		"return: early":                        nil,
		"wait: 1m":                             {"step-may-be-missing"},
		"{ if: error.retryable, fail: again }": {"step-may-be-missing"},
		"try: [ { fail: x } ]\n        catch: [ { return: } ]": nil,
	} {
		_, found := CheckFile("w.yaml", sprintf(form, last), checked)
		require.Equal(t, want, codes(found), last)
	}
}
