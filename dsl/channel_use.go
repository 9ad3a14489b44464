package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// channelUse is a place of a file that names a channel. It is checked once all
// documents are read.
type channelUse struct {
	*checker
	at        *yaml.Node
	name      string
	operation string // that the channel has to have; "": any
	question  bool   // it tells of a question, which is asked without it too
}

// channelName notes that a channel is used for an operation.
func (c *checker) channelName(n *yaml.Node, name, operation string) {
	if name != "" {
		c.opts.uses = append(c.opts.uses, channelUse{checker: c, at: n, name: name, operation: operation})
	}
}

// toldOn notes that a channel tells of a question.
func (c *checker) toldOn(n *yaml.Node, name string) {
	if name != "" {
		c.opts.uses = append(c.opts.uses, channelUse{checker: c, at: n, name: name, operation: deviceops.ChannelNotify, question: true})
	}
}

// checkChannels reports channels that there are not, and those that cannot do what
// they are used for.
func checkChannels(uses []channelUse, compiled []Compiled) {
	for _, u := range uses {
		if u.name == deviceops.ChannelLog {
			u.checkLog()
			continue
		}
		if ch, known := u.find(compiled); known {
			u.check(ch)
		}
	}
}

// checkLog checks a use of the channel that every installation has.
func (u channelUse) checkLog() {
	if u.operation != deviceops.ChannelNotify {
		u.report(u.at, "no-meaning", "name a channel that is published", "the channel %s tells people, and does nothing else", u.name)
	}
}

// find gives the channel, nil if there is none; known is false where nothing can be
// said about it.
func (u channelUse) find(compiled []Compiled) (ch *Channel, known bool) {
	for _, d := range compiled {
		if d.Kind == deviceops.KindChannel && d.Name == u.name {
			return d.Channel, d.Channel != nil
		}
	}
	if u.opts.Channel == nil {
		return nil, false
	}
	return u.opts.Channel(u.name), true
}

func (u channelUse) check(ch *Channel) {
	say := u.report
	if u.question {
		say = u.warn
	}
	switch {
	case ch == nil:
		say(u.at, "unknown-name", "publish the channel, or put it into this file", "there is no channel %s", u.name)
	case u.operation != "" && ch.Operations[u.operation] == nil:
		key, _, _ := strings.Cut(u.operation, ".")
		say(u.at, "unknown-name", "give the channel "+key+":, or name another one",
			"the channel %s cannot do %s; it can do %s", u.name, u.operation, strings.Join(ch.Info().Operations, ", "))
	}
}
