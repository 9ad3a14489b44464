package ingest

import (
	"context"
	"maps"
	"slices"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// resolveReplies finds the commands that replies of devices with topics of their
// own answer. A reply that names no command answers the one of its name that is
// under way.
func (t *transaction) resolveReplies(ctx context.Context) error {
	replying := map[string]bool{}
	for _, i := range t.items {
		if i.own != nil && len(i.own.replies) > 0 {
			replying[i.subject] = true
		}
	}
	if len(replying) == 0 {
		return nil
	}
	open, err := t.tx.OpenCommands(ctx, slices.Sorted(maps.Keys(replying)))
	if err != nil {
		return err
	}
	t.items = slices.DeleteFunc(slices.Clone(t.items), func(i item) bool {
		return i.own != nil && len(i.own.replies) > 0 && i.own.unanswered(open[i.subject])
	})
	for n, i := range t.items {
		if i.own == nil || len(i.own.replies) == 0 {
			continue
		}
		result, err := answered(i.own.replies, open[i.subject])
		if err != nil {
			return err
		}
		t.items[n].message = result
	}
	return nil
}

// unanswered reports whether a message that may be a reply, and means something
// else besides, answers nothing.
func (o *own) unanswered(open []deviceops.Command) bool {
	_, found := match(o.replies, open)
	return !found && o.more
}

// answered gives the result that replies come to. One that answers no open
// command is judged like any other: its command may have ended before.
func answered(replies []deviceops.Reply, open []deviceops.Command) (*protocol.Result, error) {
	found, _ := match(replies, open)
	return resultOf(found.reply, found.id, found.attempt)
}

type matched struct {
	reply   deviceops.Reply
	id      string
	attempt int
}

// match finds the first reply that answers an open command.
func match(replies []deviceops.Reply, open []deviceops.Command) (matched, bool) {
	for _, r := range replies {
		for _, c := range open {
			if r.Command != c.Name || r.ID != "" && r.ID != c.ID || r.ID == "" && !underWay(c) {
				continue
			}
			m := matched{r, c.ID, c.Attempt}
			if r.Attempt > 0 {
				m.attempt = r.Attempt
			}
			return m, true
		}
	}
	first := replies[0]
	m := matched{first, first.ID, max(first.Attempt, 1)}
	if m.id == "" {
		m.id = first.Command // no command has this id: its name stands in the reason
	}
	return m, false
}

// underWay reports whether the device may be at a command: it was published, or
// that is being recorded.
func underWay(c deviceops.Command) bool { return c.Status.InFlight() || !c.LeasedUntil.IsZero() }

// configured notes that a device with topics of its own took its configuration:
// it has no other way to report the version.
func (l *ledger) configured(i item, d *deviceops.Device, c *deviceops.Command, m *protocol.Result) {
	if i.own == nil || m.Status != protocol.ResultSucceeded || m.Attempt != c.Attempt || c.Status.Terminal() {
		return
	}
	if v, ok := c.Configures(); ok && v > d.Twin.Reported.ConfigVersion {
		l.setReported(d, merge(d.Twin.Reported, &protocol.Reported{ConfigVersion: &v}, i.at))
	}
}
