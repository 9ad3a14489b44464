package postgres

import (
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// defaultLimit bounds lists that name no limit.
const defaultLimit = 100

func limitOf(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}

// filter collects conditions and their parameters.
type filter struct {
	conditions []string
	args       []any
}

// arg adds a parameter and gives its name.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return "$" + strconv.Itoa(len(f.args))
}

// add adds a condition in which each ? is the parameter v.
func (f *filter) add(condition string, v any) {
	f.conditions = append(f.conditions, strings.ReplaceAll(condition, "?", f.arg(v)))
}

// equal compares a column unless want is empty.
func (f *filter) equal(column, want string) {
	if want != "" {
		f.add(column+" = ?", want)
	}
}

// within keeps to an account and all below it. "0" follows "/", so the range
// holds exactly the paths that begin with top and a slash.
func (f *filter) within(column, top string) {
	if top == "" || top == deviceops.RootAccount {
		return
	}
	f.add("("+column+" = ? or ("+column+" > ? || '/' and "+column+" < ? || '0'))", top)
}

// seenFrom keeps to an account, all above it and all below it.
func (f *filter) seenFrom(column, account string) {
	if account == "" || account == deviceops.RootAccount {
		return
	}
	f.add("("+column+" = any("+f.arg(deviceops.AccountLine(account))+") or ("+column+" > ? || '/' and "+column+" < ? || '0'))", account)
}

// where gives the conditions as a clause.
func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " where " + strings.Join(f.conditions, " and ")
}
