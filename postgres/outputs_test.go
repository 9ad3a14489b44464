package postgres_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestOutputsAreKeptWithTheirRun(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		part := deviceops.Output{Run: "r1", SHA256: "abc", Data: bytes.Repeat([]byte("data"), 2<<20)}
		requireCode(t, deviceops.ENOTFOUND, s.SaveOutputs(t.Context(), []deviceops.Output{part}))
		for _, id := range []string{"r1", "r2"} {
			_, err := s.CreateRun(t.Context(), run(id, noon))
			require.NoError(t, err)
		}
		other := deviceops.Output{Run: "r2", SHA256: "abc", Data: part.Data}
		require.NoError(t, s.SaveOutputs(t.Context(), []deviceops.Output{part, part, other}), "repeating it is harmless")
		data, err := s.FindOutput(t.Context(), "acme", "abc")
		require.NoError(t, err)
		require.True(t, bytes.Equal(part.Data, data))
		for _, account := range []string{"globex", "acme/emea", ""} {
			_, err = s.FindOutput(t.Context(), account, "abc")
			requireCode(t, deviceops.ENOTFOUND, err)
		}
		_, err = s.FindOutput(t.Context(), "acme", "abd")
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

func TestOutputsGoWithTheirRun(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	_, err := s.CreateRun(t.Context(), run("r1", noon))
	require.NoError(t, err)
	require.NoError(t, s.SaveOutputs(t.Context(), []deviceops.Output{{Run: "r1", SHA256: "abc", Data: bytes.Repeat([]byte("data"), 1000)}}))
	packed, err := postgres.Query[int64](t.Context(), s, "select octet_length(content)::bigint from outputs where account = 'acme' and size = 4000")
	require.NoError(t, err)
	require.Len(t, packed, 1)
	require.Less(t, packed[0], int64(100), "it is packed")
	_, err = s.CreateRun(t.Context(), run("r2", noon))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, s.CopyOutputs(t.Context(), "r1", "r2"))
	}
	require.NoError(t, postgres.Exec(t.Context(), s, "delete from runs where id = 'r1'"))
	data, err := s.FindOutput(t.Context(), "acme", "abc")
	require.NoError(t, err, "a run that copied it has it still")
	require.Len(t, data, 4000)
	require.NoError(t, postgres.Exec(t.Context(), s, "delete from runs where id = 'r2'"))
	_, err = s.FindOutput(t.Context(), "acme", "abc")
	requireCode(t, deviceops.ENOTFOUND, err)
}
