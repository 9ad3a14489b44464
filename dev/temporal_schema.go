package dev

import (
	"database/sql"
	"fmt"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/schema/sqlite"

	"github.com/deviceops/deviceops/workflows"
)

// createTemporalSchema makes the tables in a new file, with no more indexes over
// the list of workflows than its readers use. Temporal makes one for each of 70
// columns; each is written at the start and at the end of every workflow, and
// translated into the program of each of these statements before. All of them
// together took a quarter of the processor time of a short run.
func createTemporalSchema(file string) error {
	if err := sqlite.SetupSchema(&config.SQL{PluginName: sqlitePlugin, DatabaseName: file}); err != nil {
		return err
	}
	db, err := sql.Open(sqlitePlugin, file) // Temporal's plugin has registered the driver under its own name
	if err != nil {
		return err
	}
	defer db.Close()
	indexes, err := listIndexes(db)
	if err != nil {
		return err
	}
	for _, index := range indexes {
		if slices.Contains(usefulIndexes(), index) {
			continue
		}
		if _, err := db.Exec(`drop index ` + index); err != nil {
			return fmt.Errorf("drop the index %s: %w", index, err)
		}
	}
	return nil
}

// listIndexes gives the indexes over the list of workflows that a statement made;
// those of primary keys have none.
func listIndexes(db *sql.DB) (names []string, err error) {
	rows, err := db.Query(`select name from sqlite_master where type = 'index' and tbl_name = 'executions_visibility' and sql is not null`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// usefulIndexes are those by which people look for workflows, and Temporal for
// schedules. Whoever asks for something else has a day of workflows read, in the
// order in which they are shown.
func usefulIndexes() []string {
	indexes := []string{"default_idx", "by_workflow_id", "by_workflow_type", "by_status", "by_temporal_namespace_division"}
	for i := range workflows.Attributes() {
		indexes = append(indexes, fmt.Sprintf("by_keyword_%02d", i+1))
	}
	return indexes
}

// attributeColumns gives the column that holds each search attribute. Temporal
// would choose by chance.
func attributeColumns() map[string]string {
	columns := map[string]string{}
	for i, a := range workflows.Attributes() {
		columns[fmt.Sprintf("%s%02d", enumspb.INDEXED_VALUE_TYPE_KEYWORD, i+1)] = a.GetName()
	}
	return columns
}
