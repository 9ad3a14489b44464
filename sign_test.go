package deviceops_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestDecisionsAreSigned(t *testing.T) {
	t.Parallel()
	key := deviceops.SigningKey("0123456789abcdef0123456789abcdef")
	d := approve(person("maria", "operator"))
	d.Form = map[string]any{"n": 3.0, "f": 0.5, "big": 1e20}
	signed := key.SignDecision(d)
	require.Equal(t, d.ID(), signed.ID(), "a signature changes nothing about a decision")

	data, err := json.Marshal(signed)
	require.NoError(t, err)
	var sent deviceops.Decision
	require.NoError(t, json.Unmarshal(data, &sent))
	require.NoError(t, key.CheckDecision(sent), "on the other side of Temporal")
	sent.Form["n"] = int64(3)
	require.NoError(t, key.CheckDecision(sent), "numbers are the same in whatever type they come")

	for name, change := range map[string]func(*deviceops.Decision){
		"no signature":     func(d *deviceops.Decision) { d.Signature = "" },
		"other approval":   func(d *deviceops.Decision) { d.Approval = "r2/ok" },
		"other verdict":    func(d *deviceops.Decision) { d.Approve = false },
		"break-glass":      func(d *deviceops.Decision) { d.BreakGlass = true },
		"other person":     func(d *deviceops.Decision) { d.By.Name = "user:eve" },
		"one role more":    func(d *deviceops.Decision) { d.By.Roles = append([]string{"admin"}, d.By.Roles...) },
		"another account":  func(d *deviceops.Decision) { d.By.Account = "root" },
		"another form":     func(d *deviceops.Decision) { d.Form = map[string]any{"n": 4} },
		"an older comment": func(d *deviceops.Decision) { d.Comment = "go" },
	} {
		forged := signed
		change(&forged)
		require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(key.CheckDecision(forged)), name)
	}
	require.Error(t, deviceops.SigningKey("another key").CheckDecision(signed))
	require.NoError(t, deviceops.SigningKey(nil).CheckDecision(d), "rehearsals sign nothing")
}

func TestDelegationsAreSigned(t *testing.T) {
	t.Parallel()
	key := deviceops.SigningKey("0123456789abcdef0123456789abcdef")
	d := key.SignDelegation(deviceops.Delegation{Approval: "r1/ok", By: person("maria", "operator"), To: []string{"user:peter"}})
	require.NoError(t, key.CheckDelegation(d))
	d.To = []string{"user:eve"}
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(key.CheckDelegation(d)))
}
