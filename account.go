package deviceops

import (
	"strings"
	"time"
)

// RootAccount is the account above all others. Documents published there serve
// every account, and devices that nobody registered wait there.
const RootAccount = "root"

// Account is a tenant. Accounts form a tree by their paths: "acme/emea/stores"
// is below "acme/emea"; every account is below RootAccount.
type Account struct {
	Path      string    `json:"path"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// ValidAccount reports whether path names an account: ids joined by "/", at
// most 8 deep and 128 bytes long.
func ValidAccount(path string) bool {
	parts := strings.Split(path, "/")
	if len(path) > MaxIDLength || len(parts) > 8 {
		return false
	}
	for _, part := range parts {
		if !ValidID(part) {
			return false
		}
	}
	return true
}

// AccountLine gives an account and all above it, nearest first, ending with
// RootAccount: the order in which documents are looked up.
func AccountLine(path string) []string {
	var line []string
	for path != "" && path != RootAccount {
		line = append(line, path)
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return append(line, RootAccount)
}

// AccountWithin reports whether account is top or below it.
func AccountWithin(account, top string) bool {
	return top == RootAccount || account == top || strings.HasPrefix(account, top+"/")
}
