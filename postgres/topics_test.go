package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// topicMatches reports whether an MQTT filter, with + and #, matches a topic. A
// wildcard at the beginning does not match topics of the broker itself.
func topicMatches(filter, topic string) bool {
	if len(topic) > 0 && topic[0] == '$' && (len(filter) == 0 || filter[0] != '$') {
		return false
	}
	for {
		f, filterRest, filterMore := cutLevel(filter)
		if f == "#" {
			return true
		}
		t, topicRest, topicMore := cutLevel(topic)
		if f != "+" && f != t {
			return false
		}
		if !filterMore || !topicMore {
			return filterMore == topicMore || filterMore && filterRest == "#"
		}
		filter, topic = filterRest, topicRest
	}
}

func cutLevel(s string) (level, rest string, more bool) {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func TestTopicMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"acme/+/data", "acme/s1/data", true},
		{"acme/+/data", "acme/s1/other", false},
		{"acme/+/data", "acme/s1/data/more", false},
		{"acme/+/data", "acme/data", false},
		{"acme/#", "acme/s1/data", true},
		{"acme/#", "acme", true},
		{"acme/#", "acmes/s1", false},
		{"acme/+", "acme/", true},
		{"+/+", "/", true},
		{"+", "a/b", false},
		{"#", "$SYS/uptime", false},
		{"+/uptime", "$SYS/uptime", false},
		{"$SYS/#", "$SYS/uptime", true},
		{"", "", true},
		{"a", "", false},
	} {
		require.Equal(t, c.want, topicMatches(c.filter, c.topic), "%s %s", c.filter, c.topic)
	}
}
