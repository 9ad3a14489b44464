package dsl

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (c *checker) mqttTarget(n *yaml.Node, sc *scope) *MQTTTarget {
	if o := c.targetObject(n, "mqtt", mqttTargetKeys, "topic"); o != nil {
		topic := o.get("topic")
		c.publishedTopic(topic)
		return &MQTTTarget{topic: c.textValue(topic, "topic", sc)}
	}
	return &MQTTTarget{}
}

// publishedTopic reports what no message can be published to, as far as the topic
// is written out.
func (c *checker) publishedTopic(n *yaml.Node) {
	written := templatePlace.ReplaceAllLiteralString(n.Value, "x")
	if strings.HasPrefix(written, "$") || strings.HasPrefix(written, enginePrefix+"v1/") || strings.ContainsAny(written, "+#") {
		c.report(n, "bad-topic", "write it as plant/${{ event.device }}/state", "nothing can be published to this topic")
	}
}

func (c *checker) pubSubTarget(n *yaml.Node) *PubSubTarget {
	t := &PubSubTarget{}
	o := c.targetObject(n, "pubsub", pubSubTargetKeys, "url")
	if o == nil {
		return t
	}
	t.URL = c.topicURL(o.get("url"))
	if v := o.get("auth"); v != nil {
		t.Auth = c.routeAuth(v, "bearer", "basic")
	}
	return t
}

// topicSchemes are the message systems that there are openers for, in this build
// or in others: whether a program has them, it says when it forwards.
var topicSchemes = []string{"nats", "tls", "kafka", "kafka+tls", "awssns", "awssqs", "gcppubsub", "azuresb"}

// pathSchemes are those of which the path is the topic.
var pathSchemes = []string{"nats", "tls", "kafka", "kafka+tls"}

// topicURL reads the address of a topic. That of Amazon's SNS has no host.
func (c *checker) topicURL(n *yaml.Node) string {
	const sns = "awssns:///"
	if text, ok := c.text(n, "url"); ok && strings.HasPrefix(text, sns+"arn:") && !strings.Contains(text, "${{") {
		return text
	}
	const example = "nats://nats.example.com:4222/telemetry"
	text := c.targetURL(n, example, topicSchemes...)
	if u, err := url.Parse(text); err == nil && slices.Contains(pathSchemes, u.Scheme) && strings.Trim(u.Path, "/") == "" {
		c.report(n, "bad-url", "write it as "+example, "it is not said to which topic")
	}
	return text
}
