package deviceops_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

func TestValidID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"k1": true, "A.b_c:d-9": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a/b": false, "a+": false, "#": false, "a b": false, "é": false, "a\x00": false,
	} {
		require.Equal(t, want, deviceops.ValidID(id), "%q", id)
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"acme/emea/stores", "acme/emea", "acme", "root"}, deviceops.AccountLine("acme/emea/stores"))
	require.Equal(t, []string{"root"}, deviceops.AccountLine("root"))
	require.Equal(t, []string{"root"}, deviceops.AccountLine(""))
	require.True(t, deviceops.AccountWithin("acme/emea", "acme"))
	require.True(t, deviceops.AccountWithin("acme", "root"))
	require.False(t, deviceops.AccountWithin("acmecorp", "acme"), "a common prefix is not a common account")
	for path, want := range map[string]bool{"acme": true, "acme/emea": true, "": false, "/acme": false, "acme//x": false, "a/b/c/d/e/f/g/h/i": false} {
		require.Equal(t, want, deviceops.ValidAccount(path), "%q", path)
	}
}

func TestClaimHashes(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, deviceops.HashClaim("a", "s"), deviceops.HashClaim("b", "s"))
	require.True(t, deviceops.SameHash(deviceops.HashClaim("a", "s"), deviceops.HashClaim("a", "s")))
	require.Empty(t, deviceops.HashClaim("a", ""))
	require.False(t, deviceops.SameHash("", ""), "nothing presented does not match nothing registered")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	err := fmt.Errorf("while saving: %w", deviceops.Errorf(deviceops.EUNAVAILABLE, "the database does not answer: %w", cause))
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Equal(t, "the database does not answer: connection refused", deviceops.ErrorMessage(err))
	require.ErrorIs(t, err, cause)
	require.Equal(t, deviceops.EINTERNAL, deviceops.ErrorCode(cause))
	require.Equal(t, "internal error", deviceops.ErrorMessage(cause))
	require.Empty(t, deviceops.ErrorCode(nil))
	require.Empty(t, deviceops.ErrorMessage(nil))
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	ascending := []string{"1", "1.2", "1.2.0-alpha", "1.2.0-alpha.1", "1.2.0-beta", "1.2.0-rc1", "1.2.0", "1.2.9", "1.2.10", "1.2.10.1", "2.0.0", "10.0"}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, deviceops.CompareVersions(a, b), "%s against %s", a, b)
		}
	}
	require.Zero(t, deviceops.CompareVersions("v1.0+build7", "1.0"))
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		constraint, version string
		want                bool
	}{
		{">=2.3.0", "2.3.0", true}, {">=2.3.0", "2.10.0", true}, {">=2.3.0", "2.3.0-rc1", false}, {">=2.3.0", "", false},
		{">=2 <3", "2.9", true}, {">=2 <3", "3", false}, {"1.2.0", "1.2.0", true}, {"=1.2.0", "1.2.1", false}, {"!=1.2.0", "1.2.1", true},
		{"<=2", "2", true}, {">2", "2", false}, {"", "", true}, {"", "7", true},
	} {
		require.Equal(t, c.want, deviceops.Constraint(c.constraint).Allows(c.version), "%s allows %s", c.constraint, c.version)
	}
	require.NoError(t, deviceops.Constraint(">=2.3.0 <3").Check())
	for _, bad := range []string{">=", "^1.2", "~> 2", ">=2,<3>"} {
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(deviceops.Constraint(bad).Check()), bad)
	}
}

func TestPrincipals(t *testing.T) {
	t.Parallel()
	maria := deviceops.Principal{Name: "user:maria", Roles: []string{deviceops.RoleOperator}}
	require.True(t, maria.Has(deviceops.RoleViewer), "every role sees")
	require.False(t, maria.Has(deviceops.RoleAuthor))
	require.True(t, maria.MayDecide([]string{"role:duty-manager", "role:operator"}))
	require.True(t, maria.MayDecide([]string{"user:maria"}))
	require.False(t, maria.MayDecide([]string{"user:mario", "role:approver"}))
	require.False(t, maria.MayDecide(nil))
	require.True(t, deviceops.Engine.MayDecide([]string{"role:anything"}))
	require.False(t, deviceops.Principal{}.Has(deviceops.RoleViewer))
}
