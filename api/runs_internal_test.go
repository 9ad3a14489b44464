package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestMergeSteps(t *testing.T) {
	t.Parallel()
	row := func(index int, status deviceops.RunStatus) deviceops.RunStep {
		return deviceops.RunStep{Index: index, Status: status}
	}
	done, open := deviceops.RunSucceeded, deviceops.RunRunning
	for name, c := range map[string]struct{ stored, live, want []deviceops.RunStep }{
		"nothing is stored yet": {live: []deviceops.RunStep{row(0, open)}, want: []deviceops.RunStep{row(0, open)}},
		"nothing is known live": {stored: []deviceops.RunStep{row(0, done)}, want: []deviceops.RunStep{row(0, done)}},
		"a run that went on in a new execution": {
			stored: []deviceops.RunStep{row(0, open), row(1, done), row(2, open)},
			live:   []deviceops.RunStep{row(0, open), row(2, done), row(3, open)},
			want:   []deviceops.RunStep{row(0, open), row(1, done), row(2, done), row(3, open)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, mergeSteps(c.stored, c.live))
		})
	}
}
