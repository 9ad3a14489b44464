package dsl

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/types"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// testScope knows inputs of every type, a step that ran and one that may be
// missing.
func testScope() *scope {
	sc := newScope(types.Map{
		"inputs": types.Map{"n": types.Int64, "x": types.Float64, "s": types.String, "b": types.Bool, "list": types.Any, "map": types.Any},
		"run":    runType,
		"device": deviceType(nil),
		"error":  errorType,
	})
	sc.steps["done"] = stepInfo{output: types.Any}
	sc.steps["maybe"] = stepInfo{output: types.Any, missing: "has an if"}
	sc.vars["v"] = true
	return sc
}

func testEnv() Env {
	return Env{
		Inputs: map[string]any{
			"n": int64(7), "x": 2.5, "s": "kiosk", "b": true,
			"list": []any{int64(3), int64(1), int64(2), int64(3)},
			"map":  map[string]any{"c": int64(3), "a": int64(1), "b": int64(2)},
		},
		Steps: map[string]StepResult{"done": {Status: StatusSucceeded, Output: map[string]any{"ok": true, "n": int64(4)}, Attempts: 2}},
		Vars:  map[string]any{"v": "value"},
		Error: &Failure{Code: "busy", Message: "the device is busy", Retryable: true, Data: map[string]any{"percent": 20}},
		Run:   RunInfo{ID: "r1", Workflow: "w", Version: 3, StartedBy: "maria", Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))},
		Device: DeviceFacts(&deviceops.Device{
			ID: "k1", State: deviceops.Active, Tags: []string{"canary", "lobby"}, Labels: map[string]string{"site": "b1"},
			Metrics: map[string]any{"battery_pct": 18.0},
		}),
	}
}

func evaluate(t *testing.T, source string) (any, error) {
	t.Helper()
	e, problems := compileExpression(source, testScope(), wantAny)
	require.Empty(t, problems, source)
	return e.Eval(testEnv())
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]any{
		`inputs.n + 1`:                                 int64(8),
		`inputs.n / 2`:                                 3.5,
		`inputs.n / 7`:                                 int64(1), // whole, so it reads back from JSON as the same
		`inputs.n % 2 == 1`:                            true,
		`inputs.x * 2`:                                 int64(5),
		`inputs.s + "-" + string(inputs.x)`:            "kiosk-2.5",
		`inputs.list[inputs.n - 7]`:                    int64(3),
		`inputs.list[0] in [1, 2, 3]`:                  true,
		`inputs.n in 1..9`:                             true,
		`steps.done.output.n == 4`:                     true,
		`steps.done.status`:                            "succeeded",
		`steps.done.attempts`:                          int64(2),
		`steps.done.error`:                             nil,
		`steps.maybe`:                                  nil,
		`steps.maybe?.output.deep.er`:                  nil,
		`steps.maybe?.status == "succeeded"`:           false,
		`steps.maybe?.output ?? "nothing"`:             "nothing",
		`vars.v`:                                       "value",
		`error.retryable && error.code == "busy"`:      true,
		`error.data.percent`:                           int64(20),
		`run.now.Hour()`:                               int64(11),
		`run.now`:                                      "2026-03-01T11:00:00Z",
		`run.now.Add(duration("1d12h"))`:               "2026-03-02T23:00:00Z",
		`run.now > date("2026-03-01")`:                 true,
		`run.version`:                                  int64(3),
		`duration("90s")`:                              "1m30s",
		`"lobby" in device.tags`:                       true,
		`any(device.tags, # == "canary")`:              true,
		`device.labels.site`:                           "b1",
		`device.metrics.battery_pct < 20`:              true,
		`device.metrics.absent`:                        nil,
		`keys(inputs.map)`:                             []any{"a", "b", "c"},
		`values(inputs.map)`:                           []any{int64(1), int64(2), int64(3)},
		`toPairs(inputs.map)`:                          []any{[]any{"a", int64(1)}, []any{"b", int64(2)}, []any{"c", int64(3)}},
		`fromPairs(toPairs(inputs.map)) == inputs.map`: true,
		`merge(inputs.map, nil, {"z": 1}).z`:           int64(1),
		`merge(inputs.map) == inputs.map`:              true,
		`get(inputs.list, -1)`:                         int64(3),
		`get(inputs.list, 9)`:                          nil,
		`get(split("a,b", ","), 1)`:                    "b",
		`get(inputs.map, "absent")`:                    nil,
		`get(nil, 0)`:                                  nil,
		`urlEncode("a b/c?é+~")`:                       "a%20b%2Fc%3F%C3%A9%2B~",
		`urlEncode(nil) + urlEncode(7)`:                "7",
		`merge()`:                                      map[string]any{},
		`inCircle(52.52, 13.405, 52.5201, 13.405, 20)`: true,
		`inCircle(52, 13, inputs.n, 13.405, 1000)`:     false,
		`inPolygon(-17, -179, [[-20, 175], [-20, -175], [-15, -175], [-15, 175]])`: true,
		`inPolygon(5, 11, [[0, 0], [0, 10], [10, 10]])`:                            false,
		`sort(inputs.list)`:                      []any{int64(1), int64(2), int64(3), int64(3)},
		`sort(inputs.list, "desc")[0]`:           int64(3),
		`uniq(inputs.list)`:                      []any{int64(3), int64(1), int64(2)},
		`sum(inputs.list)`:                       int64(9),
		`mean(inputs.list)`:                      2.25,
		`map(inputs.list, # * 2)`:                []any{int64(6), int64(2), int64(4), int64(6)},
		`filter(inputs.list, # > 2) | len()`:     int64(2),
		`reduce(inputs.list, #acc + #, 0)`:       int64(9),
		`join(map(inputs.list, string(#)), ",")`: "3,1,2,3",
		`replace("a-b-c", "-", "")`:              "abc",
		`toJSON(inputs.map)`:                     `{"a":1,"b":2,"c":3}`,
		`fromJSON('{"n": 1, "x": 1.5}')`:         map[string]any{"n": int64(1), "x": 1.5},
		`{a: 1, "b": [2, inputs.x]}`:             map[string]any{"a": int64(1), "b": []any{int64(2), 2.5}},
		`let a = inputs.n; a * a`:                int64(49),
		`inputs.b ? "yes" : "no"`:                "yes",
		`inputs.s matches "^ki"`:                 true,
		`split("a,b", ",")`:                      []any{"a", "b"},
		`inputs?.n`:                              int64(7),
		`inputs["s"]`:                            "kiosk",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, source)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// A value must be the same before and after a trip through JSON, or a run would
// behave differently after it was continued.
func TestResultsSurviveJSON(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`inputs`, `inputs.n / 7`, `[1.0, 2.5, 9007199254740993]`, `run`, `device`, `error`, `steps.done`, `{a: 1e3, b: duration("1h")}`} {
		got, err := evaluate(t, source)
		require.NoError(t, err, source)
		data, err := json.Marshal(got)
		require.NoError(t, err)
		back, err := DecodeJSON(data)
		require.NoError(t, err)
		require.Equal(t, got, back, source)
	}
}

func TestEvaluationErrors(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]struct{ code, message string }{
		`inputs.list[9]`:                              {deviceops.EINVALID, "index out of range"},
		`steps.done.output.absent.deep`:               {deviceops.EINVALID, "a value that is needed is missing"},
		`steps.done.output.absent > 3`:                {deviceops.EINVALID, "a value that is needed is missing"},
		`!steps.done.output.absent`:                   {deviceops.EINVALID, "a value that is needed is missing"},
		`inputs.n % 0`:                                {deviceops.EINVALID, "divide by zero"},
		`int("x")`:                                    {deviceops.EINVALID, "int"},
		`date("tomorrow")`:                            {deviceops.EINVALID, "date needs a text such as"},
		`sort([1, "a"])`:                              {deviceops.EINVALID, "texts only or numbers only"},
		`run.now.Hour`:                                {deviceops.EINVALID, "is no data"},
		`fromPairs([1])`:                              {deviceops.EINVALID, "pairs"},
		`urlEncode([1])`:                              {deviceops.EINVALID, "urlEncode needs a text, number or boolean and got a list"},
		`inCircle(1, 2, nil, 4, 5)`:                   {deviceops.EINVALID, "a value that is needed is missing"},
		`inCircle(1, 2, "a", 4, 5)`:                   {deviceops.EINVALID, "inCircle needs numbers and got the text"},
		`inCircle(91, 2, 3, 4, 5)`:                    {deviceops.EINVALID, "inCircle needs latitude, longitude, those of the center"},
		`inPolygon(1, 2, [[1, 2]])`:                   {deviceops.EINVALID, "inPolygon needs 3 to 1000 corners and got 1"},
		`inPolygon(1, 2, [1, 2, 3])`:                  {deviceops.EINVALID, "inPolygon needs corners [latitude, longitude]"},
		`inPolygon(1, 200, [[1, 2], [1, 3], [2, 3]])`: {deviceops.EINVALID, "inPolygon needs latitudes from -90 to 90"},
		`get("abc", 0)`:                               {deviceops.EINVALID, "and got the text"},
		`get(inputs.map, 0)`:                          {deviceops.EINVALID, "get needs a list and a number"},
		`merge({}, [1])`:                              {deviceops.EINVALID, "merge needs a map and got a list"},
		`repeat("x", 1000000)`:                        {deviceops.EEXHAUSTED, "memory"},
		`replace(repeat("a", 9000), "a", repeat("b", 9000))`: {deviceops.EEXHAUSTED, "a text of more than"},
		`join(map(1..99, repeat("c", 20000)))`:               {deviceops.EEXHAUSTED, "memory"},
		`steps.done.output.n && true`:                        {deviceops.EINVALID, "an integer is given where a boolean is needed"},
		`upper(inputs.list[0])`:                              {deviceops.EINVALID, "an integer is given where a text is needed"},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			_, err := evaluate(t, source)
			require.Error(t, err)
			require.Equal(t, want.code, deviceops.ErrorCode(err), err.Error())
			require.Contains(t, err.Error(), want.message)
			require.Contains(t, err.Error(), "`"+source+"`")
		})
	}
}

// Each of these would block a worker, or take its memory, without the budget.
func TestEvaluationIsBounded(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"nested predicates":  `all(1..5000, all(1..5000, true))`,
		"growing text":       `reduce(1..40, #acc + #acc, "xxxxxxxxxxxxxxxx")`,
		"shared lists":       `toJSON(reduce(1..40, [#acc, #acc], 1))`,
		"shared comparison":  `reduce(1..40, [#acc, #acc], 1) == reduce(1..40, [#acc, #acc], 1)`,
		"shared result":      `reduce(1..40, [{a: #acc, b: #acc}][0], 1)`,
		"concatenated lists": `reduce(1..40, concat(#acc, #acc), [1])`,
		"large range":        `1..100000000`,
		"search in text":     `all(1..5000, repeat("a", 90000) matches "a$")`,
		"membership":         `all(1..5000, # in inputs.big)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := testScope()
			sc.env["inputs"] = types.Map{"big": types.Any}
			e, problems := compileExpression(source, sc, wantAny)
			require.Empty(t, problems)
			big := make([]any, 5000)
			for i := range big {
				big[i] = int64(i)
			}
			start := time.Now()
			_, err := e.Eval(Env{Inputs: map[string]any{"big": big}})
			require.Error(t, err)
			require.Less(t, time.Since(start), 5*time.Second)
		})
	}
}

// Every function of expr is either allowed, refused or replaced, on purpose.
func TestBuiltinsAreKnown(t *testing.T) {
	t.Parallel()
	for _, name := range builtin.Names {
		_, refused := refusedBuiltins[name]
		_, own := ownFunctions[name]
		known := 0
		for _, is := range []bool{allowedBuiltins[name], refused, own} {
			if is {
				known++
			}
		}
		require.Equal(t, 1, known, "decide about the function %s of expr: is its result the same on every machine?", name)
	}
}

func TestRefusedBuiltinsAreRefused(t *testing.T) {
	t.Parallel()
	calls := map[string]string{
		"groupBy": "groupBy([1], #)", "sortBy": "sortBy([1], #)", "now": "now()", "timezone": `timezone("UTC")`,
		"type": "type(1)", "splitAfter": `splitAfter("a", "b")`, "bitnot": "bitnot(1)",
	}
	for name := range refusedBuiltins {
		source, special := calls[name]
		if !special {
			source = name + "(1, 2)"
		}
		_, problems := compileExpression(source, testScope(), wantAny)
		require.Len(t, problems, 1, source)
		require.Equal(t, "nondeterministic", problems[0].code, source)
	}
}

func TestRefusedExpressions(t *testing.T) {
	t.Parallel()
	for source, code := range map[string]string{
		`$env`:                            "unknown-name",
		`$env["inputs"]`:                  "unknown-name",
		`__budget`:                        "unknown-name",
		`__charge(1, 2)`:                  "unknown-function",
		`run.now.In(nil)`:                 "unknown-function",
		`run.now?.Local()`:                "unknown-function",
		`[run.now][0].Local()`:            "unknown-function",
		`let f = run.now.Local; f()`:      "unknown-function",
		`steps.maybe.output`:              "step-may-be-missing",
		`steps["maybe"].output`:           "step-may-be-missing",
		`steps.maybe["output"]`:           "step-may-be-missing",
		`steps[inputs.s].output`:          "unknown-name",
		`steps.done.result`:               "unknown-name",
		`inputs.nn`:                       "unknown-name",
		`secrets.token`:                   "unknown-name|secret-place",
		strings.Repeat("1 + ", 600) + "1": "expression-syntax",
		strings.Repeat(" ", 5000) + "1":   "too-large",
		`inputs.n > "x"`:                  "expression-type",
		`all(inputs.list, all(inputs.list, all(inputs.list, true)))`: "expression-nesting",
	} {
		_, problems := compileExpression(source, testScope(), wantAny)
		require.NotEmpty(t, problems, source)
		require.Contains(t, code, problems[0].code, source)
	}
}

func TestEvaluationIsDeterministic(t *testing.T) {
	t.Parallel()
	sources := []string{`keys(inputs.map)`, `values(inputs.map)`, `toPairs(inputs.map)`, `toJSON(inputs.map)`, `string(inputs.map)`, `inputs.map`, `uniq(values(inputs.map))`}
	for _, source := range sources {
		first, err := evaluate(t, source)
		require.NoError(t, err)
		for range 50 {
			again, err := evaluate(t, source)
			require.NoError(t, err)
			require.Equal(t, Format(first), Format(again), source)
		}
	}
}

func TestConditionsGiveBooleans(t *testing.T) {
	t.Parallel()
	var always *Expression
	ok, err := always.Bool(Env{})
	require.NoError(t, err)
	require.True(t, ok)

	e, problems := compileExpression(`steps.done.output.n`, testScope(), wantBool)
	require.Empty(t, problems)
	_, err = e.Bool(testEnv())
	require.EqualError(t, err, "the condition `steps.done.output.n` gives the number 4, not true or false")
}

func TestPredicatesKnowWhatIsMissing(t *testing.T) {
	t.Parallel()
	device := &deviceops.Device{
		ID: "k1", State: deviceops.Active, Tags: []string{"canary"},
		Metrics: map[string]any{"battery_pct": 40.0, "in_use": false},
	}
	device.Twin.Reported.Software = map[string]string{"os": "2.3.0"}
	for source, want := range map[string]deviceops.Verdict{
		`device.metrics.battery_pct > 30`:                   deviceops.Yes,
		`device.metrics.battery_pct > 50`:                   deviceops.No,
		`device.metrics.absent > 30`:                        deviceops.Unknown,
		`device.metrics.absent == 30`:                       deviceops.Unknown,
		`device.metrics.absent != 30`:                       deviceops.Unknown,
		`!device.metrics.absent`:                            deviceops.Unknown,
		`device.metrics.absent`:                             deviceops.Unknown,
		`device.metrics.absent in [1, 2]`:                   deviceops.Unknown,
		`device.metrics.absent ? true : false`:              deviceops.Unknown,
		`device.metrics.absent && true`:                     deviceops.Unknown,
		`len(device.attributes.list) > 0`:                   deviceops.Unknown,
		`device.attributes.nested.deep == 1`:                deviceops.Unknown,
		`device.metrics.absent == nil`:                      deviceops.Yes,
		`device.metrics.absent != nil`:                      deviceops.No,
		`(device.metrics.absent ?? 40) > 30`:                deviceops.Yes,
		`device.reported.software.os != nil`:                deviceops.Yes,
		`device.reported.software.app != nil`:               deviceops.No,
		`"canary" in device.tags && !device.metrics.in_use`: deviceops.Yes,
		`any(device.tags, # == "canary")`:                   deviceops.Yes,
		`device.state == "active"`:                          deviceops.Yes,
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			e, problems := compileExpression(source, newScope(types.Map{"device": deviceType(nil)}), wantPredicate)
			require.Empty(t, problems)
			got, err := devicePredicate(e)(device)
			require.NoError(t, err)
			require.Equal(t, want, got)
			_, err = devicePredicate(e)(&deviceops.Device{})
			require.NoError(t, err, "a device of which nothing is known is no fault")
		})
	}
}

func TestPredicateAtFault(t *testing.T) {
	t.Parallel()
	e, problems := compileExpression(`device.labels.site > 3`, newScope(types.Map{"device": deviceType(nil)}), wantPredicate)
	require.Empty(t, problems)
	verdict, err := devicePredicate(e)(&deviceops.Device{Labels: map[string]string{"site": "b1"}})
	require.Error(t, err)
	require.Equal(t, deviceops.Unknown, verdict)
}
