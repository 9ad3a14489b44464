package dev

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var someCounts = map[deviceops.State]int{deviceops.Active: 150, deviceops.Provisioning: 45, deviceops.Quarantined: 5}

func TestStateTableIsInTheOrderOfLife(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"STATE          DEVICES   after 7s",
		"provisioning        45   " + strings.Repeat("█", 9),
		"active             150   " + strings.Repeat("█", 30),
		"quarantined          5   █",
	}, stateTable(someCounts, 7*time.Second))
}

func TestBoardRedrawsInPlaceOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := board{out: &out, terminal: true}
	b.show(someCounts, time.Second)
	require.NotContains(t, out.String(), "\x1b")
	b.show(someCounts, 2*time.Second)
	require.Contains(t, out.String(), "\x1b[4A\x1b[J", "it goes back over four lines")
}

func TestBoardWritesALinePerChangeElsewhere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := board{out: &out}
	b.show(someCounts, time.Second)
	b.show(someCounts, 2*time.Second)
	b.show(map[deviceops.State]int{deviceops.Active: 200}, 3*time.Second)
	require.Equal(t, "  1s  provisioning 45  active 150  quarantined 5\n  3s  active 200\n", out.String())
}
