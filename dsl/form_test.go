package dsl

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const askingYAML = `
workflow: w
steps:
  - id: decision
    approve: Reboot?
    by: [role:operator, user:maria]
    quorum: 2
    four_eyes: true
    comment: required
    notify: ops
    form:
      mode: { enum: [soft, hard], default: soft, description: how to }
      wait: integer 1..5
      note: { type: string, optional: true }
      sure: { type: boolean, default: false }
    escalate:
      - { after: 30m, by: [role:duty-manager], notify: pager }
      - { after: 1h, notify: siren }
    expires: 2h
  - set:
      mode: ${{ steps.decision.output.form.mode }}
      slow: ${{ steps.decision.output.form.wait + 1 > 3 }}
      note: ${{ steps.decision.output.form.note ?? "none" }}
`

func asking(t *testing.T) *Approve {
	t.Helper()
	require.Empty(t, schemaErrors(t, compiledSchema(t), askingYAML))
	p, found := Compile(askingYAML)
	require.NoError(t, found.Err())
	step, ok := p.Step("decision")
	require.True(t, ok)
	return step.Op.(*Approve)
}

func TestApproveIsRead(t *testing.T) {
	t.Parallel()
	op := asking(t)
	require.Equal(t, 2, op.Quorum)
	require.True(t, op.FourEyes)
	require.True(t, op.Comment)
	require.Equal(t, "ops", op.Notify)
	require.Equal(t, "2h", FormatDuration(op.Expires))
	require.Len(t, op.Escalate, 2)
	require.Equal(t, []string{"role:duty-manager"}, op.Escalate[0].By)
	require.Equal(t, "siren", op.Escalate[1].Notify)
	require.Equal(t, []string{"mode", "wait", "note", "sure"}, op.Form.names())
}

func TestFormSchema(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(asking(t).Form.Schema())
	require.NoError(t, err)
	require.JSONEq(t, `{
		"type": "object", "additionalProperties": false, "required": ["wait"],
		"properties": {
			"mode": {"enum": ["soft", "hard"], "default": "soft", "description": "how to"},
			"wait": {"type": "integer", "minimum": 1, "maximum": 5},
			"note": {"type": "string"},
			"sure": {"type": "boolean", "default": false}
		}
	}`, string(data))
	require.Nil(t, Form(nil).Schema())
}

func TestFormIsFilledIn(t *testing.T) {
	t.Parallel()
	form := asking(t).Form
	for name, c := range map[string]struct {
		given, want map[string]any
		refused     string
	}{
		"defaults":        {given: map[string]any{"wait": 3}, want: map[string]any{"mode": "soft", "wait": int64(3), "note": nil, "sure": false}},
		"all, as text":    {given: map[string]any{"wait": "3", "mode": "hard", "note": "5", "sure": "true"}, want: map[string]any{"mode": "hard", "wait": int64(3), "note": "5", "sure": true}},
		"missing":         {given: nil, refused: `the form field "wait" is missing: it needs an integer 1..5`},
		"out of range":    {given: map[string]any{"wait": 6}, refused: `the form field "wait": the number 6 is given where an integer 1..5 is needed`},
		"not in the enum": {given: map[string]any{"wait": 1, "mode": "medium"}, refused: `the form field "mode": the text "medium" is given where one of soft, hard is needed`},
		"unknown":         {given: map[string]any{"wait": 1, "moed": "hard"}, refused: `the form has no field "moed"; did you mean mode?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filled, err := form.Fill(c.given)
			if c.refused != "" {
				require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
				require.Equal(t, c.refused, deviceops.ErrorMessage(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, filled)
		})
	}
}

// TestApprovalsPage checks the document that docs/approvals.md shows.
func TestApprovalsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/approvals.md")
	require.NoError(t, err)
	blocks := yamlBlock.FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 1)
	_, found := CheckFile("approvals.md", blocks[0][1], Options{})
	require.NoError(t, found.Err())
	for _, key := range fieldNames(verbs["approve"].fields) {
		require.Contains(t, blocks[0][1], "    "+key+":", "%s is not on the page", key)
	}
}
