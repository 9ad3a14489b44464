package serverless

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/dsl"
)

// grammar makes random expressions that jq accepts. Of each rule one form is
// chosen; upper case names other rules.
var grammar = map[string][]string{
	"E": {
		"P", "P", "L", "(E + E)", "(E - E)", "(E * E)", "(E / E)", "(E % E)", "(E == E)", "(E != E)", "(E < E)", "(E >= E)", "(E and E)", "(E or E)",
		"(E // E)", "(E | E)", "if E then E else E end", "(E | not)", "(A | F)", "(P | F)", `"x\(E)y"`, "A", "{a: E, b: E}", "(E as $v | [$v, E])", "(O + O)", "(A + A)", "O",
	},
	"P": {".", ".n", ".f", ".text", ".none", ".flag", ".list", ".map", ".map.a.c", ".pets[0].name", ".list[1]", ".list[7]", ".missing.x", ".pets", ".map.b", ".texts"},
	"L": {"0", "1", "-2", "2.5", `"abc"`, `""`, "null", "true", "false", "[]", "{}"},
	"A": {"[E, E]", "[.list[] | E]", "[.pets[] | select(E) | .name]", "[.list[], .texts[]]", "[.pets[].tags[]]", "(.list | map(E))", "(.pets | map(select(.age > 1)))", ".list", ".texts", "[first(.list[])]"},
	"O": {".map", "{n}", "{a: E}", "(.map | del(.a))"},
	"F": {
		"length", "keys", "sort", "first", "last", "min", "max", "add", "any", "all", "unique", "reverse", "tostring", "tojson", "floor", "ceil", "abs",
		`join(",")`, `has("a")`, `startswith("a")`, `contains("b")`, `split("b")`, "to_entries", "flatten", "tonumber", "trim", "any(E)", "all(E)", "map(E)",
	},
}

// sentence expands a rule. At the end of the budget only short forms are chosen.
func sentence(r *rand.Rand, rule string, budget *int) string {
	forms := grammar[rule]
	form := forms[r.IntN(len(forms))]
	if *budget--; *budget <= 0 && rule == "E" {
		form = []string{"P", "L"}[r.IntN(2)]
	}
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		_, isRule := grammar[form[i:i+1]]
		if isRule && (i == 0 || !isLetter(form[i-1])) && (i+1 == len(form) || !isLetter(form[i+1])) {
			b.WriteString(sentence(r, form[i:i+1], budget))
			continue
		}
		b.WriteByte(form[i])
	}
	return b.String()
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '"'
}

// TestTranslationsNeverGiveAnotherValue holds, over random expressions, that
// where jq gives a value the translation gives the same or fails, and that it
// mostly gives it.
func TestTranslationsNeverGiveAnotherValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	refused, mistyped, same, failed, jqFails := 0, 0, 0, 0, 0
	for range 6000 {
		budget := 8
		source := sentence(r, "E", &budget)
		e, tr := translateForTest(source)
		if len(tr.problems) > 0 {
			refused++
			continue
		}
		program, err := check(t, e.src)
		if err != nil { // the checker follows kinds further than the translation
			require.ErrorContains(t, err, "[expression-type]", source)
			mistyped++
			continue
		}
		got, err := result(program, inputs(t))
		want, ok := oracle(t, source, inputs(t))
		switch {
		case !ok:
			jqFails++
		case err != nil:
			failed++
		default:
			same++
			require.Equal(t, dsl.Format(want), dsl.Format(got), "%s → %s", source, e.src)
		}
	}
	t.Logf("of 6000 expressions %d were refused, %d by the checker, %d fail in jq, %d fail here alone, %d give what jq gives", refused, mistyped, jqFails, failed, same)
	require.Less(t, mistyped, 60)
	require.Greater(t, same, 1500)
	require.Less(t, failed*4, same)
}

// FuzzJQ holds that no text makes the reader of jq or the translation panic, and
// that what is translated is an expression of the language.
func FuzzJQ(f *testing.F) {
	for _, source := range []string{
		`.a.b // "x"`, `[.pets[] | select(.age > 2) | {name, "k": .a}]`, `"a\(.b + "\(1)")"`, `if .a then 1 elif .b then 2 end`, `. as $x | $x`,
		`.[0]["a"].c?`, `@base64 "x"`, `reduce .[] as $x (0; . + $x)`, "# comment\n.a", `"\ud83d\ude00"`, `{(.a): 1, $x, "b c", @json: 2}`, `..|.a`, `.a[1:2]`, `-1.5e-3`,
		strings.Repeat("[", 200), strings.Repeat(`"\(`, 120), `.a |= 1`, `label $x | break $x`, `limit(2; .[])`, `$__loc__`, `?//`, `.."`, `"` + "\u2028{{}}",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		e, tr := translateForTest(source)
		length := len([]rune(source))
		for _, p := range append(tr.problems, tr.warnings...) {
			require.True(t, 0 <= p.from && p.from <= p.to && p.to <= length+2, "%q: %+v", source, p)
			require.NotEmpty(t, p.message)
		}
		if len(tr.problems) == 0 {
			if _, err := check(t, e.src); err != nil {
				require.Regexp(t, `\[expression-type\]|has more than \d+ parts`, err.Error(), source)
			}
		}
	})
}
