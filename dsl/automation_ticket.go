package dsl

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// AutomationTicket is the ticket that an automation opens when it fires, and closes
// when its condition no longer holds.
type AutomationTicket struct {
	Channel string        // whose system has it too; "": none
	Notify  string        // where people are told; "": nobody is
	Reopen  time.Duration // for how long a closed one is opened again

	title, body, severity, assignee *Value
	foldBy, foldTitle               *Value // nil: it does not fold
	fold                            deviceops.Fold
}

const automationSeverity = "error" // where none is given

var automationTicketKeys = []fieldSpec{
	{"title", templateSchema("the problem in a few words")},
	{"body", templateSchema("what is known about it")},
	{"severity", templateSchema("info, warning, error or critical; left out: error")},
	{"assignee", templateSchema("who is to look into it, such as user:maria")},
	{"channel", textSchema("the channel whose system has the ticket too")},
	{"notify", textSchema("the channel on which people are told when it is opened, matters more, and is closed")},
	{"reopen", durationSchema("a ticket that was closed no longer ago is opened again when the problem is back; left out: 1h")},
	{"fold", objectSchema("when tickets of one cause are one storm", []string{"by"}, foldKeys)},
}

var foldKeys = []fieldSpec{
	{"by", templateSchema("the cause, with what it is grouped by, such as: offline in region north; empty: the ticket is no part of any storm")},
	{"at_least", integerSchema("so many open tickets of the cause begin a storm; left out: 5", 2)},
	{"within", durationSchema("if they were opened within this time; left out: 5m")},
	{"title", templateSchema("title of the parent; left out: by")},
	{"critical", integerSchema("a storm of so many is critical; left out: as severe as its severest member", 1)},
}

// maxStorm bounds the numbers of fold.
const maxStorm = 100_000

func automationTicketSchema() schema {
	return objectSchema("the ticket that is open while the condition holds; in place of run", []string{"title"}, automationTicketKeys)
}

// opensTicket reads the ticket of an automation.
func (c *checker) opensTicket(o *object, a *Automation) {
	for _, key := range []string{"run", "with", "concurrency"} {
		if o.has(key) {
			c.report(o.keys[key], "no-meaning", "remove it, or write an automation of its own", "%s has no meaning with ticket: no workflow is started", key)
		}
	}
	a.Ticket = &AutomationTicket{Reopen: deviceops.DefaultReopen}
	t := c.object(o.get("ticket"), "ticket", fieldNames(automationTicketKeys)...)
	if t == nil {
		return
	}
	if a.Trigger.called() {
		c.report(o.keys["ticket"], "no-meaning", "run a workflow with ticket.open", "a %s says nothing of when the problem is over", a.Trigger.Kind)
	}
	if !t.has("title") {
		c.report(o.keys["ticket"], "missing-key", "add title: ${{ device.id }} is offline", "a ticket needs a title")
	}
	sc := occasionScope(a, true)
	for key, into := range map[string]**Value{"title": &a.Ticket.title, "body": &a.Ticket.body, "severity": &a.Ticket.severity, "assignee": &a.Ticket.assignee} {
		if n := t.get(key); n != nil {
			*into = c.textValue(n, key, sc)
		}
	}
	c.ticketSeverity(t.get("severity"))
	if n := t.get("channel"); n != nil {
		a.Ticket.Channel = c.name(n, "the name of a channel")
		c.channelName(n, a.Ticket.Channel, deviceops.ChannelOpen)
	}
	if n := t.get("notify"); n != nil {
		a.Ticket.Notify = c.name(n, "the name of a channel")
		c.channelName(n, a.Ticket.Notify, deviceops.ChannelNotify)
	}
	if n := t.get("reopen"); n != nil {
		a.Ticket.Reopen = c.duration(n, "reopen")
	}
	if n := t.get("fold"); n != nil {
		c.fold(n, a.Ticket, sc)
	}
}

// ticketSeverity checks a severity that is written out.
func (c *checker) ticketSeverity(n *yaml.Node) {
	if n != nil && isText(n) && !strings.Contains(n.Value, "${{") {
		c.choice(n, "a severity", "info", "warning", "error", "critical")
	}
}

func (c *checker) fold(n *yaml.Node, t *AutomationTicket, sc *scope) {
	o := c.object(n, "fold", fieldNames(foldKeys)...)
	if o == nil {
		return
	}
	if by := o.get("by"); by != nil {
		t.foldBy = c.textValue(by, "by", sc)
	} else {
		c.report(n, "missing-key", "add by: offline in ${{ device.labels.region }}", "it is not said which tickets are of one cause")
	}
	if v := o.get("title"); v != nil {
		t.foldTitle = c.textValue(v, "title", sc)
	}
	if v := o.get("at_least"); v != nil {
		t.fold.AtLeast = c.integer(v, "at_least", 2, maxStorm)
	}
	if v := o.get("critical"); v != nil {
		t.fold.Critical = c.integer(v, "critical", 1, maxStorm)
	}
	if v := o.get("within"); v != nil {
		t.fold.Within = c.positive(v, "within")
	}
}

// TicketFor gives what an occasion tells of a problem.
func (a *Automation) TicketFor(o deviceops.Occasion) (deviceops.TicketOpening, error) {
	t := a.Ticket
	opening := deviceops.TicketOpening{
		Ticket: deviceops.Ticket{Severity: automationSeverity, Channel: t.Channel, Notify: t.Notify}, Fold: t.fold, Reopen: t.Reopen,
	}
	env := Env{Locals: occasionVariables(o)}
	into := &opening.Ticket
	for _, f := range []struct {
		value *Value
		into  *string
		most  int // characters
	}{
		{t.title, &into.Title, 200}, {t.body, &into.Body, 20_000}, {t.severity, &into.Severity, 20}, {t.assignee, &into.Assignee, 200},
		{t.foldBy, &opening.Fold.By, 500}, {t.foldTitle, &opening.Fold.Title, 200},
	} {
		if f.value == nil {
			continue
		}
		text, err := f.value.Text(env)
		if err != nil {
			return opening, err
		}
		*f.into = cut(strings.ReplaceAll(text, "\x00", ""), f.most)
	}
	if !deviceops.ValidTicketSeverity(into.Severity) {
		return opening, invalid("there is no severity %q of tickets; use info, warning, error or critical", into.Severity)
	}
	return opening, nil
}

// cut gives at most so many characters of a text.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}
