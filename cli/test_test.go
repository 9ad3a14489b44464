package cli_test

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cli"
)

const rebootYAML = `workflow: reboot
inputs: { device: device, force: { type: boolean, default: false } }
device: ${{ inputs.device }}
steps:
  - id: decision
    if: '!inputs.force'
    approve: Reboot ${{ inputs.device }}?
    by: [role:operator]
    expires: 2h
  - id: reboot
    command: reboot
`

const rebootTestYAML = `test: reboot
mock: { reboot: { output: {}, after: 90s } }
cases:
  - name: a person approves
    inputs: { device: k1 }
    answers: [ { at: 45m, step: decision, by: maria, roles: [operator], decision: approve } ]
    expect: { status: succeeded, took: 46m30s }
  - name: nobody answers
    inputs: { device: k1 }
    expect: { status: succeeded, calls: { reboot: 1 } }
`

// tested gives a terminal whose clock stands, and the folder with a workflow and
// its test.
func tested(t *testing.T) (*terminal, string) {
	m := &terminal{T: t, dir: t.TempDir()}
	m.file("fleet/reboot.yaml", rebootYAML)
	m.file("fleet/reboot.test.yaml", rebootTestYAML)
	return m, filepath.Join(m.dir, "fleet")
}

// below writes what was shown without the folder of this test and the time that
// the machine took.
func (m *terminal) below(text string) string {
	text = regexp.MustCompile(regexp.QuoteMeta(filepath.ToSlash(m.dir))+`/`).ReplaceAllString(text, "")
	return regexp.MustCompile(`time="[\d.]+"`).ReplaceAllString(text, `time="-"`)
}

func TestTest(t *testing.T) {
	t.Parallel()
	m, dir := tested(t)
	r := m.run("test", dir, "--cover")
	require.Contains(t, r.failed(cli.ExitFailed), "1 of 2 cases failed")
	require.Equal(t, `RESULT  TEST    CASE               RUNS  TIME
ok      reboot  a person approves  1     46m30s
failed  reboot  nobody answers     1     2h

reboot: nobody answers

  fleet/reboot.test.yaml:10:23: error: expected status succeeded: it is failed (approval.expired: nobody decided in time) [expectation]
    10 |     expect: { status: succeeded, calls: { reboot: 1 } }
       |                       ^^^^^^^^^

  fleet/reboot.test.yaml:10:51: error: expected calls.reboot 1: reboot was never called [expectation]
    10 |     expect: { status: succeeded, calls: { reboot: 1 } }
       |                                                   ^

  what happened:
    0s         run-1 starts: reboot@1
    2h         run-1  decision failed: approval.expired: nobody decided in time
    2h         run-1 failed

WORKFLOW  STEPS      BRANCHES   FILE
reboot@1  2/2 100 %  1/2  50 %  fleet/reboot.yaml

fleet/reboot.yaml:5: decision: its if is never false
  5 |   - id: decision
`, m.below(r.out))
}

func TestTestSelectsAndTraces(t *testing.T) {
	t.Parallel()
	m, dir := tested(t)
	r := m.run("test", dir, "--run", "reboot/a person", "--trace")
	require.Equal(t, `RESULT  TEST    CASE               RUNS  TIME
ok      reboot  a person approves  1     46m30s

reboot: a person approves

  what happened:
    0s         run-1 starts: reboot@1
    45m        user:maria approves decision
    45m        run-1  decision succeeded
    46m30s     run-1  reboot succeeded
    46m30s     run-1 succeeded
`, m.below(r.done()))
	require.Regexp(t, `^1 case passed: 46m30s of virtual time in .+\n$`, r.err)
	require.Contains(t, m.run("test", dir, "--run", "nothing").failed(cli.ExitFailed), `no case has "nothing" in its TEST/NAME`)
}

func TestTestForBuildServers(t *testing.T) {
	t.Parallel()
	m, dir := tested(t)
	r := m.run("test", dir, "--format", "junit")
	r.failed(cli.ExitFailed)
	require.Equal(t, `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1" time="-">
  <testsuite name="reboot" tests="2" failures="1" time="-" file="fleet/reboot.test.yaml">
    <testcase name="a person approves" classname="reboot" file="fleet/reboot.test.yaml" line="4" time="-"></testcase>
    <testcase name="nobody answers" classname="reboot" file="fleet/reboot.test.yaml" line="8" time="-">
      <failure message="expected status succeeded: it is failed (approval.expired: nobody decided in time)" type="expectation"><![CDATA[
fleet/reboot.test.yaml:10:23: error: expected status succeeded: it is failed (approval.expired: nobody decided in time) [expectation]
  10 |     expect: { status: succeeded, calls: { reboot: 1 } }
     |                       ^^^^^^^^^

fleet/reboot.test.yaml:10:51: error: expected calls.reboot 1: reboot was never called [expectation]
  10 |     expect: { status: succeeded, calls: { reboot: 1 } }
     |                                                   ^
]]></failure>
    </testcase>
  </testsuite>
</testsuites>
`, m.below(r.out))

	report := decoded[struct {
		Results []struct {
			Case        string
			Differences []struct{ Line int }
			Virtual     time.Duration
		}
	}](m.run("test", dir, "-o", "json"))
	require.Len(t, report.Results, 2)
	require.Equal(t, 2*time.Hour, report.Results[1].Virtual)
	require.Equal(t, 10, report.Results[1].Differences[0].Line)
}

func TestTestNeedsTests(t *testing.T) {
	t.Parallel()
	m, dir := tested(t)
	require.Contains(t, m.run("test", filepath.Join(dir, "reboot.yaml")).failed(cli.ExitFailed), "there is no test in these files")
	alone := m.run("test", filepath.Join(dir, "reboot.test.yaml"))
	require.Contains(t, alone.failed(cli.ExitFailed), "1 error in 1 file; nothing was run")
	require.Contains(t, alone.out, `there is no automation and no workflow "reboot" in these files`)
	m.run("test", dir, "--format", "tap").failed(cli.ExitUsage)
	m.run("test").failed(cli.ExitUsage)
}
