package simulator

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestLedgerCountsRepeats(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	began := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	l, err := OpenLedger(path)
	require.NoError(t, err)
	for _, e := range []Effect{
		{Device: "b", Command: "c1", Attempt: 1, Name: "reboot"},
		{Device: "a", Command: "c1", Attempt: 1, Name: "reboot"},
		{Device: "a", Command: "c1", Attempt: 2, Name: "reboot", At: began},
	} {
		require.NoError(t, l.Record(e))
	}
	require.Empty(t, l.Repeats())
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "closing twice is harmless")

	again, err := OpenLedger(path)
	require.NoError(t, err)
	require.NoError(t, again.Record(Effect{Device: "a", Command: "c1", Attempt: 2, Name: "reboot", At: began.Add(time.Second)}))
	require.NoError(t, again.Close())

	read, err := ReadLedger(path)
	require.NoError(t, err)
	require.Equal(t, []Effect{
		{Device: "a", Command: "c1", Attempt: 1, Name: "reboot", Count: 1},
		{Device: "a", Command: "c1", Attempt: 2, Name: "reboot", At: began, Count: 2},
		{Device: "b", Command: "c1", Attempt: 1, Name: "reboot", Count: 1},
	}, read.Effects())
	require.Equal(t, []Effect{{Device: "a", Command: "c1", Attempt: 2, Name: "reboot", At: began, Count: 2}}, read.Repeats())
}

func TestLedgerForgetsALineThatWasCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	writeFile(t, path, `{"device":"a","command":"c1","attempt":1}`+"\n"+`{"device":"a","comm`)
	l, err := OpenLedger(path)
	require.NoError(t, err)
	require.NoError(t, l.Record(Effect{Device: "a", Command: "c2", Attempt: 1}))
	require.NoError(t, l.Close())
	read, err := ReadLedger(path)
	require.NoError(t, err)
	require.Equal(t, []Effect{{Device: "a", Command: "c1", Attempt: 1, Count: 1}, {Device: "a", Command: "c2", Attempt: 1, Count: 1}}, read.Effects())
}

func TestLedgerIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := OpenLedger(path)
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for n := range 50 {
				if err := l.Record(Effect{Device: fmt.Sprint(i), Command: fmt.Sprint(n), Attempt: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	read, err := ReadLedger(path)
	require.NoError(t, err)
	require.Len(t, read.Effects(), 1000)
	require.NoError(t, l.Close())
}

func TestLedgerRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	writeFile(t, path, "{}\nhello\n")
	_, err := ReadLedger(path)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "line 2 of the ledger is not an effect")
	_, err = OpenLedger(path)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	_, err = ReadLedger(path + "-none")
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.NoFileExists(t, path+"-none")
}

// ledgerOfChild names, in a child process, the ledger that it writes until it
// is killed.
const ledgerOfChild = "DEVICEOPS_TEST_LEDGER"

func TestMain(m *testing.M) {
	if path := os.Getenv(ledgerOfChild); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

func writeForEver(path string) {
	l, err := OpenLedger(path)
	for n := 0; err == nil; n++ {
		if err = l.Record(Effect{Device: "d", Command: fmt.Sprint(n), Attempt: 1}); err == nil {
			fmt.Println(n)
		}
	}
	os.Exit(1)
}

func TestLedgerOutlivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), ledgerOfChild+"="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	recorded := 0
	for lines := bufio.NewScanner(out); recorded < 500 && lines.Scan(); {
		recorded++
	}
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())

	l, err := ReadLedger(path)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(l.Effects()), recorded)
	require.Empty(t, l.Repeats())
}
