package dsl

import (
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var planApprovalKeys = []fieldSpec{
	{"by", refTo("people")},
	{"quorum", schema{"type": "integer", "minimum": 1, "maximum": deviceops.MaxQuorum, "description": "how many different people have to approve; 1 when left out"}},
	{"four_eyes", booleanSchema("whoever created the rollout may not decide")},
	{"notify", textSchema("the channel that is told when the question is asked")},
	{"escalate", schema{"type": "array", "minItems": 1, "maxItems": maxEscalations, "items": escalateSchema(), "description": "who is asked besides while nobody decides"}},
	{"expires", durationSchema("after this time the outcome is expired, which is never a yes")},
}

func planApprovalSchema() schema {
	return objectSchema("who agrees", []string{"by"}, planApprovalKeys)
}

// planApproval reads who has to agree to a plan, or to a ring.
func (m *manifest) planApproval(n *yaml.Node) *deviceops.ApproveSpec {
	o := m.object(n, "approve", fieldNames(planApprovalKeys)...)
	if o == nil {
		return nil
	}
	op := &Approve{Quorum: 1}
	if v := o.get("by"); v != nil {
		op.By = m.people(v)
	} else {
		m.report(n, "missing-key", "add by: ["+defaultApprovers+"]", "it is not said who may decide")
	}
	if v := o.get("four_eyes"); v != nil {
		op.FourEyes = m.boolean(v, "four_eyes")
	}
	if v := o.get("notify"); v != nil {
		op.Notify = m.name(v, "the name of a channel")
	}
	if v := o.get("expires"); v != nil {
		op.Expires = m.positive(v, "expires")
	}
	if v := o.get("escalate"); v != nil {
		op.Escalate = m.escalations(v, op.Expires)
	}
	if v := o.get("quorum"); v != nil {
		op.Quorum = m.integer(v, "quorum", 1, deviceops.MaxQuorum)
		m.reachable(v, op)
	}
	return op.spec()
}

// spec gives what an approval says of those who decide.
func (op *Approve) spec() *deviceops.ApproveSpec {
	spec := &deviceops.ApproveSpec{By: op.By, Quorum: op.Quorum, FourEyes: op.FourEyes, Notify: op.Notify, Expires: op.Expires}
	for _, e := range op.Escalate {
		spec.Escalate = append(spec.Escalate, deviceops.EscalateSpec(e))
	}
	return spec
}
