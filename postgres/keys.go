package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// EnsureKey gives the key of a name, which all processes of an installation
// share. Where there is none yet it keeps fresh and gives that.
func (t tx) EnsureKey(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	key, _, err := first(ctx, t, "ensure key", pgx.RowTo[[]byte], `
		insert into installation_keys (name, key) values ($1, $2)
		on conflict (name) do update set key = installation_keys.key returning key`, name, fresh)
	return key, err
}
