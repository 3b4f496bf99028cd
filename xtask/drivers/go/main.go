// pgx, its pool and its low-level connection.
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var (
	names  = []string{"ssn", "born", "seen", "visits", "account", "balance", "score", "insured", "token", "chart", "scan"}
	hidden = "SELECT " + strings.Join(names, ", ") + " FROM patients WHERE id = "
	back   = context.Background()
	failed = false
)

func show(value interface{}) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case []byte:
		return hex.EncodeToString(value)
	case [16]byte:
		return fmt.Sprintf("%x", value)
	case time.Time:
		return value.UTC().Format("2006-01-02T15:04:05.999999999Z")
	case pgtype.Value:
		if encoder, ok := value.(pgtype.TextEncoder); ok {
			text, err := encoder.EncodeText(pgtype.NewConnInfo(), nil)
			return fmt.Sprintf("%s %v", text, err)
		}
		return fmt.Sprintf("%v", value)
	case []interface{}:
		parts := make([]string, 0, len(value))
		for _, one := range value {
			parts = append(parts, show(one))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\t", "\\t").Replace(fmt.Sprint(value))
	}
}

func tell(name string, values ...interface{}) {
	line := name
	for _, value := range values {
		line += "\t" + show(value)
	}
	fmt.Println(line)
}

// Ends the story at hand.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func code(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return fmt.Sprintf("%s %s %s", told.Code, told.Severity, told.ConstraintName)
	}
	return fmt.Sprint(err)
}

// A connection with the environment's parameters and these changes.
func open(change func(*pgx.ConnConfig)) *pgx.Conn {
	config, err := pgx.ParseConfig("")
	must(err)
	if change != nil {
		change(config)
	}
	connection, err := pgx.ConnectConfig(back, config)
	must(err)
	return connection
}

func story(name string, tells func(*pgx.Conn)) {
	defer func() {
		if err := recover(); err != nil {
			failed = true
			tell(name, "RAISED", code(fmt.Errorf("%w", err.(error))), fmt.Sprint(err))
		}
	}()
	connection := open(nil)
	defer connection.Close(back)
	tells(connection)
}

func all(rows pgx.Rows, err error) []interface{} {
	must(err)
	defer rows.Close()
	var found []interface{}
	for rows.Next() {
		values, err := rows.Values()
		must(err)
		found = append(found, values)
	}
	must(rows.Err())
	return found
}

func connect(connection *pgx.Conn) {
	tell("connect", connection.PgConn().ParameterStatus("client_encoding"), all(connection.Query(back, "SHOW server_version")))
	other := open(func(config *pgx.ConnConfig) {
		config.RuntimeParams["application_name"] = "story"
		config.RuntimeParams["statement_timeout"] = "60000"
		config.RuntimeParams["search_path"] = "public"
	})
	tell("connect options", all(other.Query(back, "SHOW statement_timeout")), all(other.Query(back, "SHOW search_path")))
	must(other.Close(back))
}

func types(connection *pgx.Conn) {
	for _, row := range all(connection.Query(back, "SELECT * FROM drv_types ORDER BY id")) {
		tell("types binary", row)
	}
	formats := pgx.QueryResultFormats{pgx.TextFormatCode}
	for _, row := range all(connection.Query(back, "SELECT id, b, i2, i4, i8, f8, n, t, vc, by, d, ts, tz, u, j, jb, ia, ta FROM drv_types ORDER BY id", formats)) {
		tell("types text", row)
	}
	rows, err := connection.Query(back, "SELECT * FROM drv_types WHERE id = $1", 1)
	must(err)
	for _, field := range rows.FieldDescriptions() {
		tell("types column", string(field.Name), field.DataTypeOID, field.TableAttributeNumber, field.TypeModifier, field.Format)
	}
	rows.Close()
	tell("types round trip", all(connection.Query(back, "SELECT $1::bool, $2::int8, $3::float8, $4::text, $5::bytea, $6::date, $7::timestamptz, $8::int[], $9::text, $10::jsonb",
		true, int64(-1<<63), 1e300, "é\n", []byte{0, 255}, time.Date(1984, 2, 29, 0, 0, 0, 0, time.UTC),
		time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC), []int32{1, 3}, nil, map[string]int{"n": 1})))
}

func prepared(connection *pgx.Conn) {
	statement, err := connection.Prepare(back, "plus", "SELECT $1::int + 1")
	must(err)
	tell("prepared", statement.ParamOIDs)
	for n := 0; n < 20; n++ {
		tell("prepared", all(connection.Query(back, "plus", n)))
	}
	must(connection.Deallocate(back, "plus"))
	simple := open(func(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true })
	tell("prepared simple", all(simple.Query(back, "SELECT $1::int, $2::text", 7, "a'b\\")))
	must(simple.Close(back))
	pool, err := pgxpool.Connect(back, "pool_max_conns=3")
	must(err)
	defer pool.Close()
	var group sync.WaitGroup
	sums := make([]int, 60)
	for n := range sums {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			if err := pool.QueryRow(back, "SELECT $1::int * 2", n).Scan(&sums[n]); err != nil {
				sums[n] = -1
			}
		}(n)
	}
	group.Wait()
	total := 0
	for _, sum := range sums {
		total += sum
	}
	tell("prepared pool", total)
}

func batch(connection *pgx.Conn) {
	asked := &pgx.Batch{}
	for n := 0; n < 100; n++ {
		asked.Queue("INSERT INTO drv_items(name, qty) VALUES ($1, $2) RETURNING qty", fmt.Sprint("batch ", n), n)
	}
	asked.Queue("SELECT count(*) FROM drv_items WHERE name LIKE 'batch%'")
	results := connection.SendBatch(back, asked)
	total := 0
	for n := 0; n < 101; n++ {
		var got int
		must(results.QueryRow().Scan(&got))
		total += got
	}
	must(results.Close())
	tell("batch", total)
	asked = &pgx.Batch{}
	asked.Queue("SELECT 1")
	asked.Queue("SELECT 1/0")
	asked.Queue("SELECT 2")
	results = connection.SendBatch(back, asked)
	_, first := results.Exec()
	_, second := results.Exec()
	tell("batch error", code(first), code(second), code(results.Close()))
	tell("script", len(must2(connection.PgConn().Exec(back, "SELECT 1; SELECT 2").ReadAll())))
}

func must2(results []*pgconn.Result, err error) []*pgconn.Result {
	must(err)
	return results
}

func transaction(connection *pgx.Conn) {
	outer, err := connection.BeginTx(back, pgx.TxOptions{IsoLevel: pgx.Serializable})
	must(err)
	_, err = outer.Exec(back, "INSERT INTO drv_items(name, qty) VALUES ($1, $2)", "kept", 1)
	must(err)
	inner, err := outer.Begin(back)
	must(err)
	_, err = inner.Exec(back, "INSERT INTO drv_items(name, qty) VALUES ($1, $2)", "lost", -1)
	tell("savepoint", code(err))
	must(inner.Rollback(back))
	_, err = outer.Exec(back, "DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 10) g")
	must(err)
	tell("cursor", all(outer.Query(back, "FETCH 3 FROM c")), all(outer.Query(back, "FETCH ALL FROM c")))
	must(outer.Commit(back))
	tell("transaction", all(connection.Query(back, "SELECT name, qty FROM drv_items WHERE name = 'kept'")))
	for _, text := range []string{"SELECT nothing", "SELECT 1 +", "SELECT 1/0", "SELECT * FROM nowhere", "SELECT 'x'::int"} {
		_, err := connection.Exec(back, text)
		tell("error", code(err))
	}
}

func copies(connection *pgx.Conn) {
	var rows [][]interface{}
	for n := 0; n < 1000; n++ {
		rows = append(rows, []interface{}{fmt.Sprint("copied ", n), n, "é"})
	}
	copied, err := connection.CopyFrom(back, pgx.Identifier{"drv_items"}, []string{"name", "qty", "note"}, pgx.CopyFromRows(rows))
	must(err)
	tell("copy in", copied)
	_, err = connection.PgConn().CopyFrom(back, strings.NewReader("a\tno number\n"), "COPY drv_items(name, qty) FROM STDIN")
	tell("copy error", code(err))
	for _, how := range []string{"", "(FORMAT csv, HEADER)", "(FORMAT binary)"} {
		var out bytes.Buffer
		tag, err := connection.PgConn().CopyTo(back, &out, "COPY drv_types TO STDOUT "+how)
		must(err)
		tell("copy out", how, tag, out.Bytes())
	}
}

func notifications(_ *pgx.Conn) {
	plain := open(func(config *pgx.ConnConfig) { config.Database = os.Getenv("DRIVER_PLAIN_DATABASE") })
	defer plain.Close(back)
	_, err := plain.Exec(back, "LISTEN story")
	must(err)
	_, err = plain.Exec(back, "SELECT pg_notify('story', $1)", "first")
	must(err)
	limited, over := context.WithTimeout(back, 30*time.Second)
	defer over()
	heard, err := plain.WaitForNotification(limited)
	must(err)
	tell("notify", heard.Channel, heard.Payload)
}

func cancel(connection *pgx.Conn) {
	over := make(chan error, 1)
	go func() {
		_, err := connection.Exec(back, "SELECT pg_sleep(60)")
		over <- err
	}()
	for {
		select {
		case err := <-over:
			tell("cancel", code(err))
			return
		case <-time.After(50 * time.Millisecond):
			// Too early, and it hits nothing: ask again.
			must(connection.PgConn().CancelRequest(back))
		}
	}
}

func large(connection *pgx.Conn) {
	rows, err := connection.Query(back, "SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g")
	must(err)
	count, size := 0, 0
	for rows.Next() {
		var n int
		var text string
		must(rows.Scan(&n, &text))
		count, size = count+1, size+len(text)
	}
	must(rows.Err())
	tell("large", count, size)
	var text string
	must(connection.QueryRow(back, "SELECT repeat('é', 3000000)").Scan(&text))
	tell("large value", len(text))
	tell("large parameter", all(connection.Query(back, "SELECT length($1::text)", strings.Repeat("y", 3000000))))
}

func masked(row pgx.Row) {
	var (
		ssn, token, chart string
		born, seen        time.Time
		visits            int32
		account           int64
		balance           pgtype.Numeric
		score             float64
		insured           bool
		scan              []byte
	)
	var id pgtype.UUID
	must(row.Scan(&ssn, &born, &seen, &visits, &account, &balance, &score, &insured, &id, &chart, &scan))
	must(id.AssignTo(&token))
	var exact float64
	must(balance.AssignTo(&exact))
	// A JSON document keeps the server's blanks.
	chart = strings.ReplaceAll(chart, ": ", ":")
	shown := []interface{}{ssn, born.Format("2006-01-02"), seen, visits, account, strconv.FormatFloat(exact, 'f', 2, 64), score, insured, token, chart, scan}
	for n, name := range names {
		tell("masked "+name, shown[n])
	}
}

func maskedRows(connection *pgx.Conn) {
	masked(connection.QueryRow(back, hidden+"1"))
	masked(connection.QueryRow(back, hidden+"$1", 1))
	_, err := connection.Prepare(back, "hidden", hidden+"$1")
	must(err)
	masked(connection.QueryRow(back, "hidden", 1))
	masked(connection.QueryRow(back, hidden+"$1", pgx.QuerySimpleProtocol(true), 1))
	asked := &pgx.Batch{}
	asked.Queue("hidden", 1)
	results := connection.SendBatch(back, asked)
	masked(results.QueryRow())
	must(results.Close())
	tell("masked nulls", all(connection.Query(back, hidden+"2")))
}

func main() {
	story("connect", connect)
	story("types", types)
	story("prepared", prepared)
	story("batch", batch)
	story("transaction", transaction)
	story("copy", copies)
	story("notify", notifications)
	story("cancel", cancel)
	story("large", large)
	story("masked", maskedRows)
	tell("done")
	if failed {
		os.Exit(1)
	}
}
