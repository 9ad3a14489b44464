package dsl

var translateKeys = append(originKeys("the topic on which devices say this: an MQTT filter with {device} where the id is"), []fieldSpec{
	{"ignore", booleanSchema("nothing is wanted of it; it is not rejected either")},
	{"each", expressionSchema("a list in the payload, of which every item is translated: item is one")},
	{"time", schema{"description": "when it happened: an RFC 3339 text, or { unix: ... }, { unix_ms: ... }, { age_s: ... }, { age_ms: ... }", "anyOf": []any{
		refTo("expression"), objectSchema("a number", nil, stampKeys),
	}}},
	{"dedupe", expressionSchema("what is the same in a repetition of the message, and only there")},
	{"hello", objectSchema("the device is there, and this is what it is", nil, helloKeys)},
	{"status", expressionSchema("online, offline or sleeping")},
	{"wake_in", expressionSchema("of sleeping: after how many seconds it will be back")},
	{"heartbeat", schema{"description": "the device lives; every other message that is taken says so, too", "anyOf": []any{
		schema{"type": "boolean"}, objectSchema("with its uptime", nil, heartbeatRuleKeys),
	}}},
	{"metrics", mapOf("values of metrics, by name", expressionSchema(""))},
	{"event", schema{"description": "something happened; several as a list", "anyOf": []any{
		objectSchema("an event", []string{"type"}, eventRuleKeys),
		schema{"type": "array", "minItems": 1, "items": objectSchema("an event", []string{"type"}, eventRuleKeys)},
	}}},
	{"reported", objectSchema("what is in force on the device", nil, reportedKeys)},
}...)

// originKeys are the keys that rules and replies share.
func originKeys(on string) []fieldSpec {
	return []fieldSpec{
		{"on", textSchema(on)},
		{"decode", decodeSchema()},
		{"device", expressionSchema("the id of the device, where the topic has no {device}")},
		{"when", expressionSchema("a condition; what it does not hold for goes on to the next rule")},
		{"retained", booleanSchema("what the broker had kept for subscribers counts, too; left out, it is ignored")},
	}
}

var (
	stampKeys = []fieldSpec{
		{"unix", expressionSchema("seconds since 1970")}, {"unix_ms", expressionSchema("milliseconds since 1970")},
		{"age_s", expressionSchema("seconds ago")}, {"age_ms", expressionSchema("milliseconds ago")},
	}
	helloKeys = []fieldSpec{
		{"serial", expressionSchema("its serial")}, {"claim", expressionSchema("its claim, until it is active")},
		{"boot", expressionSchema("what changes with every start of the device")},
		{"config_version", expressionSchema("the version of the configuration in force")},
		{"software", mapOf("the version of each component", expressionSchema(""))},
	}
	heartbeatRuleKeys = []fieldSpec{{"uptime_s", expressionSchema("seconds since its start")}}
	eventRuleKeys     = []fieldSpec{
		{"if", expressionSchema("a condition; else there is no event")},
		{"type", templateSchema("its type, such as device.door")},
		{"severity", templateSchema("info, warning, error or critical; info when left out")},
		{"data", argumentsSchema("what belongs to it: a map with ${{ }} in it, or one ${{ }} that gives a map")},
	}
	reportedKeys = []fieldSpec{
		{"config_version", expressionSchema("the version of the configuration in force")},
		{"software", mapOf("the version of each component", expressionSchema(""))},
		{"attributes", mapOf("attributes, by name", expressionSchema(""))},
	}
	decodeKeys = []fieldSpec{
		{"text", objectSchema("a text in parts", nil, textKeys)},
		{"bytes", schema{"type": "array", "minItems": 1, "items": objectSchema("a field", []string{"name", "type", "at"}, layoutKeys), "description": "fields at fixed places"}},
	}
	textKeys = []fieldSpec{
		{"pattern", textSchema("a regular expression (RE2) whose named groups, (?P<name>...), are the parts")},
		{"split", textSchema("what stands between the parts")},
		{"names", schema{"type": "array", "minItems": 1, "items": schema{"type": "string"}, "description": "of the parts that split gives"}},
	}
)

func decodeSchema() schema {
	return schema{"description": "how the payload is read: json when left out", "anyOf": []any{
		schema{"enum": []any{"json", "cbor", "text"}}, objectSchema("a layout", nil, decodeKeys),
	}}
}

func translateSchema() schema {
	return schema{
		"type": "array", "minItems": 1, "items": objectSchema("what a message means", []string{"on"}, translateKeys),
		"description": "what devices mean that know only their own topics: the first rule that takes a message counts",
	}
}
