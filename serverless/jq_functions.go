package serverless

import "strings"

// jqFunction is a function of jq that is translated. The table is what
// docs/import.md shows.
type jqFunction struct {
	args      int
	on        kind   // what the dot has to be; kindAny: anything
	stream    bool   // it may give none or several values
	gives     string // what it becomes, for the table
	remark    string // where it differs, for the table
	example   string // an expression that uses it, for the tests of the table
	translate func(t *translation, c *jqCall, env jqEnv) exp
}

// functions holds the functions by name and number of arguments: "join/1".
var functions map[string]jqFunction

func init() { // the table and the translator refer to each other
	functions = map[string]jqFunction{
		"abs/0":        {on: kindNumber, gives: "`abs(.)`", example: ".n | abs", translate: applied("abs", kindNumber)},
		"add/0":        {on: kindList, gives: "`sum(.)`", remark: "numbers only", example: ".list | add", translate: (*translation).add},
		"all/0":        {on: kindList, gives: "`all(., # ...)`", example: ".list | all", translate: quantified("all")},
		"all/1":        {on: kindList, args: 1, gives: "`all(., condition)`", example: ".list | all(. > 1)", translate: quantified("all")},
		"any/0":        {on: kindList, gives: "`any(., # ...)`", example: ".list | any", translate: quantified("any")},
		"any/1":        {on: kindList, args: 1, gives: "`any(., condition)`", example: ".list | any(. > 2)", translate: quantified("any")},
		"ceil/0":       {on: kindNumber, gives: "`ceil(.)`", example: ".f | ceil", translate: applied("ceil", kindNumber)},
		"contains/1":   {on: kindText, args: 1, gives: "`contains`", remark: "texts only", example: `.text | contains("b")`, translate: infix("contains")},
		"del/1":        {on: kindMap, args: 1, gives: "`filter` over its pairs", remark: "names directly below, as in `del(.a)` and `del(.a, .b)`", example: ".map | del(.a)", translate: (*translation).del},
		"empty/0":      {stream: true, gives: "`[]`", remark: "where several values are allowed", example: "[.list[] | if . > 1 then . else empty end]", translate: (*translation).empty},
		"endswith/1":   {on: kindText, args: 1, gives: "`endsWith`", example: `.text | endswith("c")`, translate: infix("endsWith")},
		"first/0":      {on: kindList, gives: "`get(., 0)`", example: ".list | first", translate: item("0")},
		"first/1":      {args: 1, stream: true, gives: "`take(..., 1)`", remark: "where several values are allowed", example: "[first(.list[] | select(. > 1))]", translate: (*translation).firstOf},
		"flatten/0":    {on: kindList, gives: "`flatten(.)`", example: "[.list, [.n]] | flatten", translate: applied("flatten", kindList)},
		"floor/0":      {on: kindNumber, gives: "`floor(.)`", example: ".f | floor", translate: applied("floor", kindNumber)},
		"fromjson/0":   {on: kindText, gives: "`fromJSON(.)`", example: `.json | fromjson`, translate: applied("fromJSON", kindAny)},
		"has/1":        {on: kindMap, args: 1, gives: "`in keys(.)`", remark: "maps only", example: `.map | has("a")`, translate: (*translation).has},
		"join/1":       {on: kindList, args: 1, gives: "`join(., s)`", example: `.texts | join("-")`, translate: joinTexts},
		"keys/0":       {on: kindMap, gives: "`keys(.)`", remark: "maps only", example: ".map | keys", translate: applied("keys", kindList)},
		"last/0":       {on: kindList, gives: "`get(., -1)`", example: ".list | last", translate: item("-1")},
		"length/0":     {gives: "`len(. ?? [])`", remark: "texts, lists, maps and null", example: ".list | length", translate: (*translation).length},
		"limit/2":      {args: 2, stream: true, gives: "`take(..., n)`", remark: "where several values are allowed; n written as a number", example: "[limit(2; .list[])]", translate: (*translation).limit},
		"ltrimstr/1":   {on: kindText, args: 1, gives: "`trimPrefix(., s)`", remark: "texts only", example: `.text | ltrimstr("a")`, translate: trimmed("trimPrefix")},
		"map/1":        {on: kindList, args: 1, gives: "`map`, `filter`", remark: "lists only", example: ".list | map(. + 1)", translate: (*translation).mapOf},
		"max/0":        {on: kindList, gives: "`max(.)`", remark: "numbers only", example: ".list | max", translate: extreme("max")},
		"min/0":        {on: kindList, gives: "`min(.)`", remark: "numbers only", example: ".list | min", translate: extreme("min")},
		"not/0":        {gives: "`!`", example: ".flag | not", translate: func(t *translation, c *jqCall, env jqEnv) exp { return not(env.dot.truth()) }},
		"reverse/0":    {on: kindList, gives: "`reverse(.)`", remark: "lists only", example: ".list | reverse", translate: (*translation).reverse},
		"round/0":      {on: kindNumber, gives: "`round(.)`", example: ".f | round", translate: applied("round", kindNumber)},
		"rtrimstr/1":   {on: kindText, args: 1, gives: "`trimSuffix(., s)`", remark: "texts only", example: `.text | rtrimstr("c")`, translate: trimmed("trimSuffix")},
		"select/1":     {args: 1, stream: true, gives: "`filter`", remark: "where several values are allowed", example: ".list | map(select(. > 1))", translate: (*translation).selected},
		"sort/0":       {on: kindList, gives: "`sort(.)`", remark: "texts only, or numbers only", example: ".list | sort", translate: applied("sort", kindList)},
		"split/1":      {on: kindText, args: 1, gives: "`split(., s)`", example: `.text | split("b")`, translate: (*translation).split},
		"startswith/1": {on: kindText, args: 1, gives: "`startsWith`", example: `.text | startswith("a")`, translate: infix("startsWith")},
		"to_entries/0": {on: kindMap, gives: "`map(toPairs(.), ...)`", example: ".map | to_entries", translate: (*translation).entries},
		"tojson/0":     {gives: "`toJSON(.)`", example: ".map | tojson", translate: applied("toJSON", kindText)},
		"tonumber/0":   {on: kindText, gives: "`float(.)`", example: ".digits | tonumber", translate: applied("float", kindNumber)},
		"tostring/0":   {gives: "`string(.)`", remark: "null gives `null`", example: ".n | tostring", translate: func(t *translation, c *jqCall, env jqEnv) exp { return asText(env.dot) }},
		"trim/0":       {on: kindText, gives: "`trim(.)`", example: ".text | trim", translate: applied("trim", kindText)},
		"unique/0":     {on: kindList, gives: "`sort(uniq(.))`", remark: "texts only, or numbers only", example: ".list | unique", translate: (*translation).unique},
	}
}

func isStreamFunction(c *jqCall) bool {
	return functions[signature(c)].stream
}

func signature(c *jqCall) string {
	return c.name + "/" + string(rune('0'+min(len(c.args), 9)))
}

// instead says what to do about well-known functions that are not translated.
var instead = map[string]string{
	"now": "set the time in a call, or use a field of an event", "type": "compare with null, or with a value of the type that is meant",
	"test": "use startswith, endswith or contains", "match": "use startswith, endswith or contains", "capture": "use split",
	"gsub": "use split and join", "sub": "use split and join", "error": "use a raise task", "env": "give the value as input",
	"ascii_downcase": "compare with the spellings that occur", "ascii_upcase": "compare with the spellings that occur",
	"sort_by": "let the service sort", "group_by": "let the service group", "with_entries": "use to_entries and map", "recurse": "name the values that are needed",
	"range": "use a list of numbers", "keys_unsorted": "use keys", "map_values": "write out the object",
}

func (t *translation) call(c *jqCall, env jqEnv) exp {
	if f, ok := functions[signature(c)]; ok {
		if f.on != kindAny && !env.dot.maybe(f.on) {
			return t.refuse(c, "use it on "+kindNames[f.on], c.name+" is translated for "+kindNames[f.on]+", and this is "+kindNames[env.dot.kind])
		}
		return f.translate(t, c, env)
	}
	fix := instead[c.name]
	if fix == "" {
		fix = "docs/import.md lists what is translated"
	}
	return t.refuse(c, fix, "the function "+strings.Replace(signature(c), "/0", "", 1)+" is not translated")
}

// applied translates to a function over the dot.
func applied(function string, k kind) func(*translation, *jqCall, jqEnv) exp {
	return func(_ *translation, _ *jqCall, env jqEnv) exp {
		return atom(k, "%s(%s)", function, env.dot.src)
	}
}

// trimmed translates the functions that cut a text off another one. jq lets pass
// what is no text.
func trimmed(function string) func(*translation, *jqCall, jqEnv) exp {
	return func(t *translation, c *jqCall, env jqEnv) exp {
		return atom(kindText, "%s(%s, %s)", function, env.dot.src, t.textArgument(c, env).src).ifAny(env.dot, kindText)
	}
}

func (t *translation) split(c *jqCall, env jqEnv) exp {
	return atom(kindList, "split(%s, %s)", env.dot.src, t.textArgument(c, env).src)
}

func (t *translation) reverse(_ *jqCall, env jqEnv) exp {
	return atom(kindList, "reverse(%s)", env.dot.src).ifAny(env.dot, kindList)
}

// infix translates to an operator over the dot and one text.
func infix(operator string) func(*translation, *jqCall, jqEnv) exp {
	return func(t *translation, c *jqCall, env jqEnv) exp {
		argument := t.textArgument(c, env)
		left := env.dot.at(levelSum)
		if env.dot.nullable() { // the operator alone would find nothing in nothing
			left = "(" + env.dot.at(levelSum) + ` + "")`
		}
		return exp{src: left + " " + operator + " " + argument.at(levelSum), level: levelCompare, kind: kindBool}
	}
}

// textArgument translates the argument of a function over texts.
func (t *translation) textArgument(c *jqCall, env jqEnv) exp {
	e := t.single(c.args[0], env)
	if !e.known(kindText) {
		return t.refuse(c.args[0], `write a text, or "\(...)" around what gives it`, "the argument of "+c.name+" has to be certainly text")
	}
	return e
}

func joinTexts(t *translation, c *jqCall, env jqEnv) exp {
	return atom(kindText, "join(%s, %s)", env.dot.src, t.textArgument(c, env).src)
}

// item translates first and last.
func item(index string) func(*translation, *jqCall, jqEnv) exp {
	return func(_ *translation, _ *jqCall, env jqEnv) exp {
		return exp{src: "get(" + env.dot.src + ", " + index + ")", level: levelAtom, data: env.dot.data}
	}
}

// extreme translates min and max, which give null for an empty list.
func extreme(function string) func(*translation, *jqCall, jqEnv) exp {
	return func(t *translation, _ *jqCall, env jqEnv) exp {
		return t.once(env.dot, func(list exp) exp {
			return choose(isEmpty(list), atom(kindNull, "nil"), exp{src: function + "(" + list.src + ")", level: levelAtom, kind: kindNumber, unsure: true})
		})
	}
}

func isEmpty(list exp) exp {
	return exp{src: "len(" + list.src + ") == 0", level: levelCompare, kind: kindBool}
}

func (t *translation) add(_ *jqCall, env jqEnv) exp {
	return t.once(env.dot, func(list exp) exp {
		return choose(isEmpty(list), atom(kindNull, "nil"), exp{src: "sum(" + list.src + ")", level: levelAtom, kind: kindNumber, unsure: true})
	})
}

// quantified translates any and all, over the dot or over a condition on each of
// its items.
func quantified(function string) func(*translation, *jqCall, jqEnv) exp {
	return func(t *translation, c *jqCall, env jqEnv) exp {
		list := env.dot
		inner, ok := t.inside(c, env, list)
		if !ok {
			return atom(kindBool, "false")
		}
		if len(c.args) == 0 {
			return t.truthList(function, list)
		}
		return atom(kindBool, "%s(%s, %s)", function, list.src, predicate(t.single(c.args[0], inner).truth()))
	}
}

func (t *translation) mapOf(c *jqCall, env jqEnv) exp {
	return t.pipedStream(&jqEach{c.pos, &jqIdentity{c.pos}}, c.args[0], env)
}

func (t *translation) empty(*jqCall, jqEnv) exp { return atom(kindList, "[]") }

func (t *translation) firstOf(c *jqCall, env jqEnv) exp {
	return atom(kindList, "take(%s, 1)", t.stream(c.args[0], env).src)
}

func (t *translation) limit(c *jqCall, env jqEnv) exp {
	count, ok := literalCount(c.args[0])
	if !ok {
		return t.refuse(c.args[0], "write a number such as 3", "the number of limit has to be written out")
	}
	return atom(kindList, "take(%s, %d)", t.stream(c.args[1], env).src, count)
}

// selected translates select(condition) on one value.
func (t *translation) selected(c *jqCall, env jqEnv) exp {
	return choose(t.single(c.args[0], env).truth(), atom(kindList, "[%s]", env.dot.src), atom(kindList, "[]"))
}

func (t *translation) length(c *jqCall, env jqEnv) exp {
	if env.dot.kind == kindNumber || env.dot.kind == kindBool {
		return t.refuse(c, "use abs for the size of a number", "length is translated for texts, lists, maps and null")
	}
	return atom(kindNumber, "len(%s)", env.dot.orElse("[]", levelLoose))
}

func (t *translation) has(c *jqCall, env jqEnv) exp {
	return exp{src: t.textArgument(c, env).at(levelSum) + " in keys(" + env.dot.src + ")", level: levelCompare, kind: kindBool}
}

func (t *translation) unique(_ *jqCall, env jqEnv) exp {
	return atom(kindList, "sort(uniq(%s))", env.dot.src)
}

func (t *translation) entries(c *jqCall, env jqEnv) exp {
	if _, ok := t.inside(c, env, env.dot); !ok {
		return atom(kindList, "[]")
	}
	return exp{src: "map(toPairs(" + env.dot.src + `), ({"key": #[0], "value": #[1]}))`, level: levelAtom, kind: kindList, data: env.dot.data}
}

// del translates the removal of names directly below the dot.
func (t *translation) del(c *jqCall, env jqEnv) exp {
	names, ok := fieldsOfDot(c.args[0])
	if !ok {
		return t.refuse(c.args[0], "remove names directly below the dot, as in del(.a, .b)", "only names directly below the dot are removed")
	}
	if _, ok := t.inside(c, env, env.dot); !ok {
		return atom(kindMap, "{}")
	}
	return exp{src: "fromPairs(filter(toPairs(" + env.dot.src + "), #[0] not in [" + strings.Join(names, ", ") + "]))", level: levelAtom, kind: kindMap, orNull: env.dot.nullable(), data: env.dot.data}
}

// fieldsOfDot gives the names of .a, .b as literals.
func fieldsOfDot(n jqNode) ([]string, bool) {
	switch n := n.(type) {
	case *jqField:
		_, direct := n.target.(*jqIdentity)
		return []string{quote(n.name)}, direct
	case *jqBinary:
		left, ok := fieldsOfDot(n.left)
		right, also := fieldsOfDot(n.right)
		return append(left, right...), ok && also && n.op == ","
	}
	return nil, false
}

// formats are jq's formats that are translated, by name.
var formats = map[string]struct{ gives, function string }{
	"@base64": {"`toBase64(...)`", "toBase64"},
	"@json":   {"`toJSON(.)`", "toJSON"},
	"@text":   {"`string(.)`", ""},
}

func (t *translation) formatted(n *jqFormat, env jqEnv) exp {
	f, ok := formats[n.name]
	switch {
	case !ok:
		return t.refuse(n, "use @base64, @json or @text", "the format "+n.name+" is not translated")
	case n.name == "@text":
		return asText(env.dot)
	case n.name == "@base64":
		return atom(kindText, "%s(%s)", f.function, asText(env.dot).src)
	}
	return atom(kindText, "%s(%s)", f.function, env.dot.src)
}
