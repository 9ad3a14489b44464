package deviceops_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var asked = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func openApproval() deviceops.Approval {
	return deviceops.Approval{
		ID: "r1/ok", Account: "acme/shops", Question: "Reboot?", By: []string{"role:operator", "user:vic"}, Status: deviceops.ApprovalOpen,
		OpenedAt: asked, ExpiresAt: asked.Add(2 * time.Hour),
	}
}

func person(name, role string) deviceops.Principal {
	return deviceops.Principal{Name: "user:" + name, Account: "acme", Roles: []string{role}}
}

func approve(p deviceops.Principal) deviceops.Decision {
	return deviceops.Decision{Approval: "r1/ok", Approve: true, By: p}
}

func TestDecisionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(*deviceops.Approval)
		decision deviceops.Decision
		after    time.Duration
		code     string
	}{
		"by role":          {nil, approve(person("maria", "operator")), 0, ""},
		"by name":          {nil, approve(person("vic", "viewer")), 0, ""},
		"another role":     {nil, approve(person("eve", "author")), 0, deviceops.EFORBIDDEN},
		"another account":  {nil, approve(deviceops.Principal{Name: "user:eve", Account: "globex", Roles: []string{"admin"}}), 0, deviceops.EFORBIDDEN},
		"a moment before":  {nil, approve(person("maria", "operator")), 2*time.Hour - 1, ""},
		"too late":         {nil, approve(person("maria", "operator")), 2 * time.Hour, deviceops.ECONFLICT},
		"withdrawn":        {func(a *deviceops.Approval) { a.Status = deviceops.ApprovalCanceled }, approve(person("maria", "operator")), 0, deviceops.ECONFLICT},
		"barred":           {func(a *deviceops.Approval) { a.Barred = []string{"user:maria"} }, approve(person("maria", "operator")), 0, deviceops.EFORBIDDEN},
		"barred, as admin": {func(a *deviceops.Approval) { a.Barred = []string{"user:root"} }, approve(person("root", "admin")), 0, deviceops.EFORBIDDEN},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := openApproval()
			if c.change != nil {
				c.change(&a)
			}
			require.Equal(t, c.code, deviceops.ErrorCode(a.Check(c.decision, asked.Add(c.after))))
		})
	}
}

func TestDecisionIDs(t *testing.T) {
	t.Parallel()
	base := approve(person("maria", "operator"))
	base.Form = map[string]any{"a": 1, "b": "x"}
	same := base
	same.By.Roles, same.Form = []string{"other"}, map[string]any{"b": "x", "a": 1}
	require.Equal(t, base.ID(), same.ID())
	ids := map[string]bool{base.ID(): true}
	for _, change := range []func(*deviceops.Decision){
		func(d *deviceops.Decision) { d.Approval = "r1/no" },
		func(d *deviceops.Decision) { d.Approve = false },
		func(d *deviceops.Decision) { d.BreakGlass = true },
		func(d *deviceops.Decision) { d.By.Name = "user:olga" },
		func(d *deviceops.Decision) { d.Comment = "go" },
		func(d *deviceops.Decision) { d.Form = map[string]any{"a": 2, "b": "x"} },
	} {
		d := base
		change(&d)
		require.False(t, ids[d.ID()])
		ids[d.ID()] = true
	}
}

func TestQuorum(t *testing.T) {
	t.Parallel()
	a := openApproval()
	a.Quorum = 2
	form := map[string]any{"mode": "hard"}
	maria, olga := approve(person("maria", "operator")), approve(person("olga", "operator"))
	for range 2 { // the second time changes nothing
		a.Take(maria, form, asked)
		require.Equal(t, deviceops.ApprovalOpen, a.Status)
		require.Equal(t, 1, a.Approvals())
	}
	require.NoError(t, a.Check(maria, asked), "a repeat is harmless")
	again := maria
	again.Comment = "once more"
	require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(a.Check(again, asked)))
	a.Take(olga, form, asked.Add(time.Minute))
	require.Equal(t, deviceops.ApprovalApproved, a.Status)
	require.Equal(t, "user:olga", a.DecidedBy)
	require.Equal(t, asked.Add(time.Minute), a.DecidedAt)
	require.Equal(t, form, a.Form)
	require.NoError(t, a.Check(olga, asked.Add(time.Hour)), "also after the end")
}

func TestTimeWidensAndNothingMore(t *testing.T) {
	t.Parallel()
	a := openApproval()
	a.Escalations = []deviceops.Escalation{
		{At: asked.Add(30 * time.Minute), By: []string{"role:duty-manager", "role:operator"}}, {At: asked.Add(time.Hour), Notify: "siren"},
	}
	asks := a.By
	require.Equal(t, asked.Add(30*time.Minute), a.NextChange())
	require.Empty(t, a.Escalate(asked.Add(29*time.Minute)))
	require.Len(t, a.Escalate(asked.Add(90*time.Minute)), 2)
	require.Empty(t, a.Escalate(asked.Add(90*time.Minute)), "once")
	require.Equal(t, []string{"role:operator", "user:vic", "role:duty-manager"}, a.By)
	require.Equal(t, []string{"role:operator", "user:vic"}, asks, "the program's own list stays as it is")
	require.Equal(t, a.ExpiresAt, a.NextChange())
	require.Equal(t, deviceops.ApprovalOpen, a.Status)
	a.ExpiresAt = time.Time{}
	require.Zero(t, a.NextChange())
}

func TestDelegationsAreBounded(t *testing.T) {
	t.Parallel()
	a := openApproval()
	maria := person("maria", "operator")
	for i := range deviceops.MaxDelegations {
		d := deviceops.Delegation{Approval: a.ID, By: maria, To: []string{"user:p" + string(rune('a'+i))}}
		require.NoError(t, a.CheckDelegation(d, asked))
		a.Hand(d, asked)
		require.NoError(t, a.CheckDelegation(d, asked), "a repeat is harmless")
	}
	d := deviceops.Delegation{Approval: a.ID, By: maria, To: []string{"user:z"}}
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(a.CheckDelegation(d, asked)))
}

func TestDeciders(t *testing.T) {
	t.Parallel()
	for who, valid := range map[string]bool{
		"role:operator": true, "user:maria": true, "user:maria@example.com": true,
		"maria": false, "role:": false, "token:ci": false, "user: x": false, "user::x": false, "role:a,b": false,
	} {
		require.Equal(t, valid, deviceops.ValidDecider(who), who)
	}
}

func TestBreakGlassIsARightOfItsOwn(t *testing.T) {
	t.Parallel()
	require.False(t, person("root", deviceops.RoleAdmin).Has(deviceops.RoleBreakGlass))
	require.False(t, deviceops.Engine.Has(deviceops.RoleBreakGlass))
	require.True(t, person("bert", deviceops.RoleBreakGlass).Has(deviceops.RoleBreakGlass))
	require.False(t, person("bert", deviceops.RoleBreakGlass).Has(deviceops.RoleOperator))
}

func TestEvidenceHash(t *testing.T) {
	t.Parallel()
	require.Empty(t, deviceops.EvidenceHash(nil))
	a := deviceops.EvidenceHash(map[string]any{"b": 1, "a": []any{2.0, "x"}})
	require.Equal(t, a, deviceops.EvidenceHash(map[string]any{"a": []any{2.0, "x"}, "b": 1}))
	require.NotEqual(t, a, deviceops.EvidenceHash(map[string]any{"a": []any{2.0, "y"}, "b": 1}))
	require.Len(t, a, 64)
}
