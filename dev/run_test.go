package dev

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options RunOptions
		message string // "": they make sense
	}{
		"a whole stack":        {RunOptions{}, ""},
		"a demo":               {RunOptions{Demo: true, Fleet: 10}, ""},
		"another broker":       {RunOptions{Options: Options{Broker: "tcp://127.0.0.1:1883"}}, ""},
		"a part of a folder":   {RunOptions{Options: Options{Data: "x", Parts: []string{PartPostgres}}}, ""},
		"no such part":         {RunOptions{Options: Options{Data: "x", Parts: []string{"nonsense"}}}, `no part "nonsense"; parts are temporal,broker`},
		"a part of nothing":    {RunOptions{Options: Options{Parts: []string{PartPostgres}}}, "name it with --data"},
		"a fleet below zero":   {RunOptions{Fleet: -1}, "-1 devices"},
		"a demo of a database": {RunOptions{Demo: true, Options: Options{Data: "x", Parts: []string{PartPostgres}}}, "has the part api"},
		"a fleet of a gateway": {RunOptions{Fleet: 3, Options: Options{Data: "x", Parts: []string{"gateway"}}}, "has the part api"},
	} {
		err := c.options.Check()
		if c.message == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), name)
		require.ErrorContains(t, err, c.message, name)
	}
}
