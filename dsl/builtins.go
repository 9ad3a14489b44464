package dsl

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/conf"

	"github.com/deviceops/deviceops"
)

// allowedBuiltins are the functions of expr that give the same result on every
// machine and at every time. A function that is not in this table or the next
// is refused, so that a new release of expr cannot add a leak.
var allowedBuiltins = map[string]bool{
	"all": true, "none": true, "any": true, "one": true, "filter": true, "map": true, "find": true,
	"findIndex": true, "findLast": true, "findLastIndex": true, "count": true, "sum": true, "reduce": true,
	"len": true, "abs": true, "ceil": true, "floor": true, "round": true, "int": true, "float": true,
	"trim": true, "trimPrefix": true, "trimSuffix": true, "upper": true, "lower": true,
	"split": true, "repeat": true, "indexOf": true, "lastIndexOf": true, "hasPrefix": true, "hasSuffix": true,
	"max": true, "min": true, "mean": true, "median": true, "toBase64": true,
	"first": true, "last": true, "take": true, "reverse": true, "concat": true, "flatten": true,
}

// refusedBuiltins are the other functions of expr, with what to do instead.
var refusedBuiltins = map[string]string{
	"now":        "use run.now, the time at which the step is evaluated",
	"timezone":   "give times with an offset; zones differ between machines",
	"groupBy":    "use filter for each group",
	"sortBy":     "sort in an action, or use sort on a list of texts or numbers",
	"type":       "declare the type of the input instead",
	"splitAfter": "use split",
	"bitand":     "", "bitor": "", "bitxor": "", "bitnand": "", "bitshl": "", "bitshr": "", "bitushr": "", "bitnot": "",
}

// function is an own function, in most cases one of expr's with its order or
// format made certain.
type function struct {
	call  func(args ...any) (any, error)
	types []any
}

var ownFunctions = map[string]function{
	"keys":       {keysOf, []any{new(func(map[string]any) []any), new(func(any) []any)}},
	"values":     {valuesOf, []any{new(func(map[string]any) []any), new(func(any) []any)}},
	"toPairs":    {pairsOf, []any{new(func(map[string]any) []any), new(func(any) []any)}},
	"get":        {getItem, []any{new(func(any, any) any)}},
	"merge":      {mergeMaps, []any{new(func(...any) map[string]any)}},
	"fromPairs":  {fromPairs, []any{new(func([]any) map[string]any)}},
	"sort":       {sortList, []any{new(func([]any) []any), new(func([]any, string) []any), new(func([]string) []any)}},
	"uniq":       {uniqList, []any{new(func([]any) []any), new(func([]string) []any)}},
	"string":     {formatArg, []any{new(func(any) string)}},
	"toJSON":     {toJSON, []any{new(func(any) string)}},
	"fromJSON":   {fromJSON, []any{new(func(string) any)}},
	"urlEncode":  {urlEncode, []any{new(func(any) string)}},
	"fromBase64": {fromBase64, []any{new(func(string) string)}},
	"join":       {joinList, []any{new(func([]any, string) string), new(func([]string, string) string), new(func([]any) string), new(func([]string) string)}},
	"replace":    {replaceText, []any{new(func(string, string, string) string)}},
	"duration":   {durationArg, []any{new(func(string) time.Duration)}},
	"pct":        {percentOf, []any{new(func(any, any) float64)}},
	"inCircle":   {inCircle, []any{new(func(any, any, any, any, any) bool)}},
	"inPolygon":  {inPolygon, []any{new(func(any, any, []any) bool)}},
	"date":       {dateArg, []any{new(func(string) time.Time)}},
}

// allowedMethods are the methods of times and durations that do not depend on
// the zone of the machine.
var allowedMethods = map[string]bool{
	"Year": true, "Month": true, "Day": true, "Hour": true, "Minute": true, "Second": true, "Weekday": true,
	"YearDay": true, "Unix": true, "UnixMilli": true, "Format": true, "Add": true, "Sub": true, "AddDate": true,
	"Before": true, "After": true, "Equal": true, "Compare": true, "Truncate": true, "UTC": true,
	"Hours": true, "Minutes": true, "Seconds": true, "Milliseconds": true, "Nanoseconds": true,
}

// Names of the functions that rewrite puts around operands.
const (
	chargeName = "__charge"
	needName   = "__need"
)

// functionNames gives all functions that expressions may call, in order.
func functionNames() []string {
	names := append(sortedKeys(allowedBuiltins), sortedKeys(ownFunctions)...)
	slices.Sort(names)
	return names
}

// baseConfig holds the functions under which all expressions are compiled. It
// is made once, since making it takes longer than compiling most expressions;
// nothing changes its maps afterwards.
var baseConfig = makeBaseConfig()

func makeBaseConfig() *conf.Config {
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	for name := range config.Builtins {
		if !allowedBuiltins[name] {
			config.Disabled[name] = true
		}
	}
	for name := range config.Disabled {
		delete(config.Builtins, name)
	}
	for name, f := range ownFunctions {
		expr.Function(name, f.call, f.types...)(config)
	}
	expr.Function(chargeName, chargeArg, new(func(any, any) any))(config)
	expr.Function(needName, needArg, new(func(any, any) any))(config)
	return config
}

// newConfig gives the configuration for expressions over env.
func newConfig(env any) *conf.Config {
	config := &conf.Config{
		ShortCircuit: true,
		Optimize:     false, // folding would evaluate outside the budget
		MaxNodes:     maxNodes,
		Functions:    baseConfig.Functions,
		Builtins:     baseConfig.Builtins,
		Disabled:     baseConfig.Disabled,
	}
	config.WithEnv(env)
	return config
}

// chargeArg gives its second argument, at the expense of the first, a budget.
func chargeArg(args ...any) (any, error) {
	return args[1], args[0].(*budget).charge(args[1])
}

// errMissing says that a predicate cannot be judged.
var errMissing = deviceops.Errorf(deviceops.EINVALID, "a value that is needed is missing")

// needArg is chargeArg for predicates: a missing value ends the evaluation.
func needArg(args ...any) (any, error) {
	if args[1] == nil {
		return nil, errMissing
	}
	return chargeArg(args...)
}

func invalid(format string, args ...any) error {
	return deviceops.Errorf(deviceops.EINVALID, format, args...)
}

// mapArg gives a map with its keys in order.
func mapArg(name string, v any) (map[string]any, []string, error) {
	c, err := canonical(v, newBudget())
	if err != nil {
		return nil, nil, err
	}
	m, ok := c.(map[string]any)
	if !ok {
		return nil, nil, wrongArg("a map", name, c)
	}
	return m, sortedKeys(m), nil
}

// listArg gives a list as []any.
func listArg(name string, v any) ([]any, error) {
	if list, ok := v.([]any); ok {
		return list, nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice && r.Kind() != reflect.Array {
		return nil, wrongArg("a list", name, Canonical(v))
	}
	list := make([]any, r.Len())
	for i := range list {
		list[i] = r.Index(i).Interface()
	}
	return list, nil
}

func keysOf(args ...any) (any, error) {
	_, keys, err := mapArg("keys", args[0])
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = k
	}
	return out, err
}

func valuesOf(args ...any) (any, error) {
	m, keys, err := mapArg("values", args[0])
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out, err
}

func pairsOf(args ...any) (any, error) {
	m, keys, err := mapArg("toPairs", args[0])
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = []any{k, m[k]}
	}
	return out, err
}

// getItem gives an item of a list by its number, counted from the end when it is
// below zero, or of a map by its key; nil where there is none.
func getItem(args ...any) (any, error) {
	from, key := args[0], Canonical(args[1])
	switch from.(type) {
	case nil, []any, map[string]any:
	default:
		from = Canonical(from)
	}
	switch key := key.(type) {
	case int64:
		list, ok := from.([]any)
		if key < 0 {
			key += int64(len(list))
		}
		if ok && key >= 0 && key < int64(len(list)) {
			return list[key], nil
		}
		if ok || from == nil {
			return nil, nil
		}
	case string:
		m, ok := from.(map[string]any)
		if ok || from == nil {
			return m[key], nil
		}
	}
	return nil, invalid("get needs a list and a number, or a map and a text, and got %s and %s", describe(from), describe(key))
}

// mergeMaps gives the entries of all maps; of those with one name the last map's
// counts. A map that is missing has none.
func mergeMaps(args ...any) (any, error) {
	out := map[string]any{}
	for _, arg := range args {
		if arg == nil {
			continue
		}
		m, keys, err := mapArg("merge", arg)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			out[k] = m[k]
		}
	}
	return out, nil
}

func fromPairs(args ...any) (any, error) {
	list, err := listArg("fromPairs", args[0])
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(list))
	for _, item := range list {
		pair, err := listArg("fromPairs", item)
		if err != nil || len(pair) != 2 {
			return nil, invalid("fromPairs needs a list of pairs [key, value]")
		}
		out[Format(pair[0])] = pair[1]
	}
	return out, nil
}

// sortList sorts texts or numbers. Equal items are not to be told apart, so the
// result does not depend on the algorithm.
func sortList(args ...any) (any, error) {
	list, err := listArg("sort", args[0])
	if err != nil {
		return nil, err
	}
	sorted := make([]any, len(list))
	for i, v := range list {
		sorted[i] = Canonical(v)
	}
	var failed error
	slices.SortStableFunc(sorted, func(a, b any) int {
		c, err := compare(a, b)
		if err != nil {
			failed = err
		}
		return c
	})
	if len(args) == 2 && args[1] == "desc" {
		slices.Reverse(sorted)
	}
	return sorted, failed
}

func compare(a, b any) (int, error) {
	x, xok := toFloat(a)
	y, yok := toFloat(b)
	if xok && yok {
		return cmp.Compare(x, y), nil
	}
	s, sok := a.(string)
	t, tok := b.(string)
	if sok && tok {
		return strings.Compare(s, t), nil
	}
	return 0, invalid("sort needs texts only or numbers only, and got %s beside %s", describe(a), describe(b))
}

// uniqList keeps the first of equal items. It compares texts of them, since
// comparing each with each takes too long on large lists.
func uniqList(args ...any) (any, error) {
	list, err := listArg("uniq", args[0])
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(list))
	out := make([]any, 0, len(list))
	for _, item := range list {
		key := formatJSON(Canonical(item))
		if !seen[key] {
			seen[key] = true
			out = append(out, item)
		}
	}
	return out, nil
}

func wrongArg(needed, name string, got any) error {
	if _, ok := got.(stored); ok {
		return errStored()
	}
	return invalid("%s needs %s and got %s", name, needed, describe(got))
}

func formatArg(args ...any) (any, error) {
	if holdsStored(args[0]) {
		return nil, errStored()
	}
	return Format(args[0]), nil
}

func toJSON(args ...any) (any, error) {
	c, err := canonical(args[0], newBudget())
	if err == nil && holdsStored(c) {
		err = errStored()
	}
	return formatJSON(c), err
}

func fromJSON(args ...any) (any, error) { return DecodeJSON([]byte(args[0].(string))) }

func fromBase64(args ...any) (any, error) {
	data, err := base64.StdEncoding.DecodeString(args[0].(string))
	if err != nil {
		return nil, invalid("fromBase64: the text is not base64")
	}
	return string(data), nil
}

// urlEncode makes a value fit for one part of a path or query: everything but
// letters, digits and -._~ is percent-encoded.
func urlEncode(args ...any) (any, error) {
	switch v := args[0].(type) {
	case map[string]any, []any:
		return nil, invalid("urlEncode needs a text, number or boolean and got %s", describe(v))
	}
	return strings.ReplaceAll(url.QueryEscape(Format(args[0])), "+", "%20"), nil
}

func joinList(args ...any) (any, error) {
	list, err := listArg("join", args[0])
	if err != nil {
		return nil, err
	}
	glue := ""
	if len(args) == 2 {
		glue = args[1].(string)
	}
	size := 0
	texts := make([]string, len(list))
	for i, item := range list {
		if holdsStored(item) {
			return nil, errStored()
		}
		texts[i] = Format(item)
		size += len(texts[i]) + len(glue)
		if size > maxText {
			return nil, tooLong("join")
		}
	}
	return strings.Join(texts, glue), nil
}

func replaceText(args ...any) (any, error) {
	s, from, to := args[0].(string), args[1].(string), args[2].(string)
	if from == "" {
		return nil, invalid("replace needs a text to look for")
	}
	if n := strings.Count(s, from); len(s)+n*len(to) > maxText {
		return nil, tooLong("replace")
	}
	return strings.ReplaceAll(s, from, to), nil
}

// maxText is the longest text that one function gives, in bytes.
const maxText = 1 << 20

func tooLong(name string) error {
	return deviceops.Errorf(deviceops.EEXHAUSTED, "%s would give a text of more than %d bytes", name, maxText)
}

func durationArg(args ...any) (any, error) { return ParseDuration(args[0].(string)) }

// dateArg reads a time that means the same everywhere: a date alone is midnight
// in UTC.
func dateArg(args ...any) (any, error) {
	text := args[0].(string)
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return nil, invalid("date needs a text such as 2026-01-31 or 2026-01-31T08:00:00Z and got %s", quoteShort(text))
}

// errNoWhole says that there is nothing of which something could be a share.
var errNoWhole = deviceops.Errorf(deviceops.EINVALID, "pct of nothing, since its second number is 0: %w", errMissing)

// percentOf gives the share of a in b, in percent. In a condition over values
// that may be missing, a share of nothing is one of them.
func percentOf(args ...any) (any, error) {
	part, okPart := toFloat(Canonical(args[0]))
	whole, okWhole := toFloat(Canonical(args[1]))
	switch {
	case !okPart || !okWhole:
		return nil, invalid("pct needs two numbers and got %s and %s", describe(Canonical(args[0])), describe(Canonical(args[1])))
	case whole == 0:
		return nil, errNoWhole
	}
	return 100 * part / whole, nil
}
