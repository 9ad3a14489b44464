package serverless

import (
	"encoding/json"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/dsl"
)

// evaluate gives what a translated expression gives for an input, by the checker
// and the evaluation of the language.
func evaluate(t testing.TB, source string, input any) (any, error) {
	t.Helper()
	return result(compile(t, source), input)
}

func result(p *dsl.Program, input any) (any, error) {
	return p.Outputs[0].Value.Eval(dsl.Env{Vars: map[string]any{"data": dsl.Canonical(input)}})
}

func compile(t testing.TB, source string) *dsl.Program {
	t.Helper()
	p, err := check(t, source)
	require.NoError(t, err, source)
	return p
}

// check compiles a workflow whose output is an expression.
func check(t testing.TB, source string) (*dsl.Program, error) {
	t.Helper()
	template, err := json.Marshal("${{ " + source + " }}")
	require.NoError(t, err)
	p, found := dsl.Compile("workflow: w\noutputs: { it: " + string(template) + " }\nsteps:\n  - set: { data: 1 }\n")
	return p, found.Err()
}

func translateForTest(source string) (exp, *translation) {
	return translateJQ(source, jqEnv{dot: exp{src: "vars.data", level: levelAtom, data: true}})
}

// oracle gives what jq gives; ok is false when it fails or gives other than one
// value.
func oracle(t testing.TB, source string, input any) (v any, ok bool) {
	t.Helper()
	query, err := gojq.Parse(source)
	require.NoError(t, err, source)
	data, err := json.Marshal(input)
	require.NoError(t, err)
	var plain any
	require.NoError(t, json.Unmarshal(data, &plain))
	results := query.Run(plain)
	v, ok = results.Next()
	if _, failed := v.(error); failed || !ok {
		return nil, false
	}
	if _, more := results.Next(); more {
		return nil, false
	}
	return dsl.Canonical(v), true
}

func inputs(t testing.TB) map[string]any {
	t.Helper()
	v, err := dsl.DecodeJSON([]byte(`{
		"n": -7, "f": 2.5, "zero": 0, "text": "abc", "digits": "12.5", "json": "{\"a\":[1]}", "flag": false, "none": null,
		"list": [3, 1, 2], "texts": ["b", "a"], "map": {"b": 2, "a": {"c": "x"}}, "a b": 1,
		"pets": [{"name": "rex", "kind": "dog", "age": 3, "tags": ["x"]}, {"name": "tom", "kind": "cat", "tags": []}]
	}`))
	require.NoError(t, err)
	return v.(map[string]any)
}

func TestTranslations(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`.`:                       `vars.data`,
		`.a.b`:                    `vars.data?.a?.b`,
		`."a b"`:                  `vars.data?.["a b"]`,
		`.list[0]`:                `get(vars.data?.list, 0)`,
		`.color == "red"`:         `vars.data?.color == "red"`,
		`.colors + ["red"]`:       `concat(vars.data?.colors ?? [], ["red"])`,
		`.n + 1`:                  `(vars.data?.n ?? 0) + 1`,
		`. + {a: 1}`:              `merge(vars.data, {"a": 1})`,
		`"Hi \(.user.name)!"`:     `"Hi " + string(vars.data?.user?.name ?? "null") + "!"`,
		`.a // "none"`:            `vars.data?.a in [nil, false] ? "none" : vars.data?.a`,
		`.a < 5`:                  `vars.data?.a == nil || vars.data?.a < 5`,
		`.a > 5`:                  `vars.data?.a != nil && vars.data?.a > 5`,
		`.a and (.b | not)`:       `vars.data?.a not in [nil, false] && vars.data?.b in [nil, false]`,
		`if .a then 1 else 2 end`: `vars.data?.a not in [nil, false] ? 1 : 2`,
		`.list | length`:          `len(vars.data?.list ?? [])`,
		`[.pets[] | select(.kind == "dog") | .name]`: `map(filter(vars.data?.pets, #?.kind == "dog"), #?.name)`,
		`.pets | map(.name)`:                         `map(vars.data?.pets, #?.name)`,
		`.pets | map({n: .name})`:                    `map(vars.data?.pets, ({"n": #?.name}))`,
		`.n / .zero`:                                 `vars.data?.n / (vars.data?.zero == 0 ? nil : vars.data?.zero)`,
		`(.a + "x") as $x | [$x, $x]`:                `(let _va = (vars.data?.a ?? "") + "x"; [_va, _va])`,
	} {
		e, tr := translateForTest(source)
		require.Empty(t, tr.problems, source)
		require.Equal(t, want, e.src, source)
		compile(t, e.src)
	}
}

// TestTranslationsGiveWhatJQGives compares with jq on every example of the table
// of functions and on a list of others.
func TestTranslationsGiveWhatJQGives(t *testing.T) {
	t.Parallel()
	sources := []string{
		`.`, `.n`, `.missing.deeper`, `."a b"`, `.["text"]`, `.list[0]`, `.list[-1]`, `.list[9]`, `.none[0]`, `.map.a.c`, `.map["a"]`,
		`.n + 1`, `.n - 1 - 2`, `.n - (1 - 2)`, `.n * 2 + 1`, `.n * (2 + 1)`, `.n / 2`, `.f / .n`, `.n % 3`, `7 % 3`, `-.n`, `-(.n + 1)`, `.5 + 5.`, `007`, `1e3`,
		`.text + "d"`, `.none + "d"`, `.list + [4]`, `.none + [4]`, `.map + {z: 1}`, `{a: 1} + {a: 2}`, `.none + 1`, `.n + .f`, `.text + .text`, `.none + .n`, `.n + .none`,
		`"\(.n) and \(.none) and \(.list) and \(.map)"`, `"a\"b\\c\u00e4\n"`, `"{{x}} ${{y}}"`, `"\("in \(.n)")"`,
		`.n == -7`, `.n != -7`, `.list == [3, 1, 2]`, `.map.a == {c: "x"}`, `.none == null`, `.flag == false`, `1 == "a"`, `[1] == "a"`, `.map.b == .zero + 2`, `.list == .texts`,
		`.n < 0`, `.n <= -7`, `.n > 0`, `.n >= -7`, `0 < .n`, `0 >= .n`, `.none < 1`, `.none > 1`, `1 < .none`, `1 > .none`, `.none <= .none`, `.none < .none`, `.n < .none`, `.none < .n`, `.n >= .none`, `.text < "b"`,
		`.n and .flag`, `.n or .flag`, `.flag | not`, `.none | not`, `true and (null | not)`, `.list and 1`, `1 and null`,
		`.none // 1`, `.flag // 1`, `.n // 1`, `.none // .flag // 3`, `null // 2`, `"x" // 2`, `(.n > 0) // "neg"`,
		`if .flag then 1 elif .n then 2 else 3 end`, `if .flag then 1 end | .n`, `if .n == -7 then .text else null end`,
		`[.list[], 4]`, `[.list[] | . * 2]`, `[.pets[].name]`, `[.pets[] | select(.age > 2) | .name]`, `[.pets[].tags[]]`, `[.pets[] | .tags[] | . + "!"]`, `[]`, `[1, 2][1]`, `[[1], [2]]`,
		`[.pets[] | {name, old: (.age // 0 > 2)}]`, `{n, "x": 1, "a b", (.text): 2, "\(.n)": 3}`, `{a: {b: {c: [1]}}}`, `.pets[0].tags | length`,
		`.pets | map(select(.kind == "dog")) | length`, `.pets | map(.age) | .[0]`, `.pets | map([.name, .kind])`, `.pets | any(.kind == "cat")`, `[.pets[] | if .age then .age else empty end]`,
		`.n as $x | .f as $y | $x + $y`, `(.n + 1) as $x | [$x, $x * 2]`, `. as {n: $a} | 1`, `.list | map(. as $i | [$i, $i])`, `[.list[] as $x | $x]`,
		`(.n + 1) | [., .]`, `(.list | length) | . + .`, `.list | (.[0] + .[1]) | . * .`, `.map | keys | join(",")`, `.missing | length`, `.text | length`, `"äö" | length`,
		`[.list[] | select(. != 1)] | sort | first`, `[limit(1; .list[])]`, `[first(.list[])]`, `@base64 "x"`, `.text | @base64`, `.map | @json`, `.n | @text`, `.none | tostring`,
		`.list | add / length`, `[] | add`, `[] | max`, `[] | first`, `.map | to_entries | map(.key)`, `.map | del(.a, .b)`, `[.list[] | tostring] | join("")`,
	}
	for _, f := range functions {
		sources = append(sources, f.example)
	}
	same := 0
	for _, source := range sources {
		e, tr := translateForTest(source)
		if len(tr.problems) > 0 {
			continue // refused, which TestRefusals is about
		}
		got, err := evaluate(t, e.src, inputs(t))
		want, ok := oracle(t, source, inputs(t))
		if !ok {
			require.Error(t, err, "%s → %s: jq fails", source, e.src)
			continue
		}
		require.NoError(t, err, "%s → %s", source, e.src)
		require.Equal(t, want, got, "%s → %s", source, e.src)
		same++
	}
	t.Logf("%d of %d expressions give what jq gives", same, len(sources))
	require.GreaterOrEqual(t, same, 150)
}
