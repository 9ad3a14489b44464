package deviceops_test

import (
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

func TestParseSecretRef(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]deviceops.SecretRef{
		"ticketing/api-token":               {Path: "ticketing/api-token", Field: "value"},
		"secret:ticketing/api-token":        {Path: "ticketing/api-token", Field: "value"},
		"secret:ticketing/jira#password":    {Path: "ticketing/jira", Field: "password"},
		"ticketing/jira@3":                  {Path: "ticketing/jira", Field: "value", Version: 3},
		"secret:ticketing/jira@12#password": {Path: "ticketing/jira", Field: "password", Version: 12},
		"a/b/c/..d":                         {Path: "a/b/c/..d", Field: "value"},
	} {
		got, err := deviceops.ParseSecretRef(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := deviceops.ParseSecretRef(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again, "what it is written as means the same")
	}
}

func TestParseSecretRef_Refuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                        "a path is",
		"secret:":                 "a path is",
		"/ticketing":              "a path is",
		"ticketing/":              "a path is",
		"ticketing//token":        "a path is",
		"ticketing/../sys/raw":    "a path is",
		"./token":                 "a path is",
		"ticketing/...":           "a path is",
		"ticketing/a b":           "a path is",
		"ticketing/%2e%2e/x":      "a path is",
		"secret:secret:ticketing": "a path is",
		"ticketing/token#":        "after # comes",
		"ticketing/token#a#b":     "after # comes",
		"ticketing/token@":        "after @ comes",
		"ticketing/token@0":       "after @ comes",
		"ticketing/token@latest":  "after @ comes",
		"ticketing/token@1@2":     "after @ comes",
	} {
		_, err := deviceops.ParseSecretRef(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), text)
		require.ErrorContains(t, err, says, text)
	}
}

func TestSecretRef_EngineKeepsItsOwn(t *testing.T) {
	t.Parallel()
	for path, account := range map[string]string{"temporal/payload-keys": "", "temporal-x/token": "acme", "ticketing/token": "root"} {
		ref, err := deviceops.ParseSecretRef(path)
		require.NoError(t, err)
		require.NoError(t, ref.Authorize(account), path)
	}
	ref, err := deviceops.ParseSecretRef("secret:temporal/payload-keys")
	require.NoError(t, err)
	for _, account := range []string{"acme", deviceops.RootAccount} {
		require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(ref.Authorize(account)), account)
	}
}

func FuzzParseSecretRef(f *testing.F) {
	f.Add("secret:ticketing/jira@12#password")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := deviceops.ParseSecretRef(text)
		if err != nil {
			require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
			return
		}
		again, err := deviceops.ParseSecretRef(ref.String())
		require.NoError(t, err)
		require.Equal(t, ref, again)
	})
}
