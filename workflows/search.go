package workflows

import (
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
)

// Attributes by which workflows are found in Temporal. They are not encrypted, so
// they hold ids and nothing that people wrote.
var (
	AttributeAccount    = temporal.NewSearchAttributeKeyKeyword("DeviceOpsAccount")
	AttributeDevice     = temporal.NewSearchAttributeKeyKeyword("DeviceOpsDevice")
	AttributeStartedBy  = temporal.NewSearchAttributeKeyKeyword("DeviceOpsStartedBy") // StarterHash of who it was
	AttributeWaitingFor = temporal.NewSearchAttributeKeyKeyword("DeviceOpsWaitingFor")
)

// Values of AttributeWaitingFor. A run that waits for a device or a time has
// none: that passes by itself.
const (
	waitingForPerson = "approval"
	waitingForEvent  = "event"
	waitingForNone   = "none"
)

// Attributes gives all attributes, in the order of their names.
func Attributes() []temporal.SearchAttributeKey {
	return []temporal.SearchAttributeKey{AttributeAccount, AttributeDevice, AttributeStartedBy, AttributeWaitingFor}
}

// StarterHash stands for who started a run: the first 16 hex digits of the
// SHA-256 of the name, since people's names are nobody's business in Temporal.
func StarterHash(startedBy string) string {
	return deviceops.ShortHash(8, startedBy)
}

// RunAttributes gives what a run is found by.
func RunAttributes(r deviceops.Run) temporal.SearchAttributes {
	set := []temporal.SearchAttributeUpdate{AttributeAccount.ValueSet(r.Account)}
	if r.Device != "" {
		set = append(set, AttributeDevice.ValueSet(r.Device))
	}
	if r.StartedBy != "" {
		set = append(set, AttributeStartedBy.ValueSet(StarterHash(r.StartedBy)))
	}
	return temporal.NewSearchAttributes(set...)
}

// searchable reports whether the workflow is found by attributes. It is where
// whoever started it has found them registered.
func searchable(ctx workflow.Context) bool {
	_, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(AttributeAccount)
	return ok
}

// childAttributes gives what a run that this workflow starts is found by; the
// zero value where the workflow itself is not.
func childAttributes(ctx workflow.Context, r deviceops.Run) temporal.SearchAttributes {
	if !searchable(ctx) {
		return temporal.SearchAttributes{}
	}
	return RunAttributes(r)
}

// expecting says that a branch of the run begins to wait for a person or an
// event; the func it gives says that the wait is over. Only what changes is told,
// since each change is an event of the history.
func (x *execution) expecting(ctx workflow.Context, what string) (over func()) {
	if x.state.Engine < 2 || !searchable(ctx) {
		return func() {}
	}
	x.expects = append(x.expects, what)
	x.tellExpected(ctx)
	return func() {
		i := slices.Index(x.expects, what)
		x.expects = slices.Delete(x.expects, i, i+1)
		x.tellExpected(ctx)
	}
}

// tellExpected updates the attribute: a person comes before an event.
func (x *execution) tellExpected(ctx workflow.Context) {
	now := waitingForNone
	switch {
	case slices.Contains(x.expects, waitingForPerson):
		now = waitingForPerson
	case slices.Contains(x.expects, waitingForEvent):
		now = waitingForEvent
	}
	told, ok := workflow.GetTypedSearchAttributes(ctx).GetKeyword(AttributeWaitingFor)
	if told == now || !ok && now == waitingForNone {
		return
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttributeWaitingFor.ValueSet(now)); err != nil {
		workflow.GetLogger(ctx).Warn("what a run waits for could not be shown", "err", err)
	}
}
