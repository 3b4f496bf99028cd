import java.io.StringReader;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HexFormat;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

/** pgjdbc. */
public final class Stories {
    private static final String[] MASKED =
        {"ssn", "born", "seen", "visits", "account", "balance", "score", "insured", "token", "chart", "scan"};
    private static final String HIDDEN = "SELECT id, ward, " + String.join(", ", MASKED) + " FROM patients WHERE id = ";
    private static final HexFormat HEX = HexFormat.of();
    private static boolean failed;

    private interface Story {
        void tell(Connection connection) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        story("connect", Stories::connect);
        story("types", Stories::types);
        story("metadata", Stories::metadata);
        story("prepared", Stories::prepared);
        story("batch", Stories::batch);
        story("cursor", Stories::cursor);
        story("transaction", Stories::transaction);
        story("copy", Stories::copy);
        story("notify", Stories::notifications);
        story("cancel", Stories::cancel);
        story("large", Stories::large);
        story("masked", Stories::hidden);
        tell("done");
        System.exit(failed ? 1 : 0);
    }

    private static void story(String name, Story story) {
        try (Connection connection = open(System.getenv("PGDATABASE"), new Properties())) {
            story.tell(connection);
        } catch (Exception error) {
            failed = true;
            tell(name, "RAISED", error.getClass().getSimpleName(), error.getMessage());
            error.printStackTrace();
        }
    }

    private static Connection open(String database, Properties properties) throws SQLException {
        properties.setProperty("user", System.getenv("PGUSER"));
        String password = System.getenv("PGPASSWORD");
        if (password != null) {
            properties.setProperty("password", password);
        }
        if (System.getenv("PGSSLMODE") != null) {
            properties.setProperty("sslmode", System.getenv("PGSSLMODE"));
        }
        if (System.getenv("PGSSLROOTCERT") != null) {
            properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        }
        return DriverManager.getConnection(
            "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + database, properties);
    }

    private static Connection open(String name, String value, Object... more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty(name, value);
        for (int at = 0; at < more.length; at += 2) {
            properties.setProperty((String) more[at], (String) more[at + 1]);
        }
        return open(System.getenv("PGDATABASE"), properties);
    }

    private static String show(Object value) throws SQLException {
        if (value instanceof byte[]) {
            return HEX.formatHex((byte[]) value);
        }
        if (value instanceof Timestamp) {
            return ((Timestamp) value).toInstant().atOffset(ZoneOffset.UTC).toString();
        }
        if (value instanceof OffsetDateTime) {
            return ((OffsetDateTime) value).withOffsetSameInstant(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss'Z'"));
        }
        return String.valueOf(value).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t");
    }

    private static void tell(String name, Object... values) {
        StringBuilder line = new StringBuilder(name);
        for (Object value : values) {
            try {
                line.append('\t').append(show(value));
            } catch (SQLException error) {
                line.append('\t').append(error);
            }
        }
        System.out.println(line);
    }

    private static String row(ResultSet result) throws SQLException {
        StringBuilder text = new StringBuilder();
        for (int column = 1; column <= result.getMetaData().getColumnCount(); column++) {
            text.append(column == 1 ? "" : ",").append(show(result.getObject(column)));
        }
        return text.toString();
    }

    private static String all(ResultSet result) throws SQLException {
        StringBuilder text = new StringBuilder();
        while (result.next()) {
            text.append('[').append(row(result)).append(']');
        }
        return text.toString();
    }

    private static String ask(Connection connection, String text) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(text)) {
            return all(result);
        }
    }

    private static String code(Connection connection, String text) {
        try (Statement statement = connection.createStatement()) {
            statement.execute(text);
            return "no error";
        } catch (PSQLException error) {
            return error.getSQLState() + " " + error.getServerErrorMessage().getSeverity() + " "
                + error.getServerErrorMessage().getConstraint();
        } catch (SQLException error) {
            return error.toString();
        }
    }

    private static void connect(Connection connection) throws SQLException {
        tell("connect", connection.isValid(30), connection.getCatalog(), connection.getSchema(), connection.getTransactionIsolation());
        try (Connection other = open("ApplicationName", "story", "options", "-c statement_timeout=60000", "currentSchema", "public")) {
            tell("connect options", ask(other, "SHOW statement_timeout"), ask(other, "SHOW search_path"));
            other.setReadOnly(true);
            other.setAutoCommit(false);
            tell("connect read only", code(other, "INSERT INTO drv_items(name) VALUES ('x')"));
        }
    }

    private static void types(Connection connection) throws SQLException {
        tell("types text", ask(connection, "SELECT * FROM drv_types ORDER BY id"));
        try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM drv_types WHERE id = ?")) {
            // From the first on, binary is asked for.
            statement.unwrap(PGStatement.class).setPrepareThreshold(-1);
            for (int id = 1; id <= 3; id++) {
                statement.setInt(1, id);
                try (ResultSet result = statement.executeQuery()) {
                    ResultSetMetaData about = result.getMetaData();
                    for (int column = 1; id == 1 && column <= about.getColumnCount(); column++) {
                        tell("types column", about.getColumnName(column), about.getColumnTypeName(column), about.getColumnType(column),
                            about.getTableName(column), about.isAutoIncrement(column), about.isNullable(column), about.getPrecision(column));
                    }
                    tell("types binary", all(result));
                }
            }
        }
        String marks = "SELECT ?::bool, ?::int8, ?::float8, ?::numeric, ?::text, ?::bytea, ?::date, ?::timestamptz, ?::uuid, ?::int[], ?::text";
        try (PreparedStatement statement = connection.prepareStatement(marks)) {
            statement.setBoolean(1, true);
            statement.setLong(2, Long.MIN_VALUE);
            statement.setDouble(3, 1e300);
            statement.setBigDecimal(4, new java.math.BigDecimal("-0.0001"));
            statement.setString(5, "é\n");
            statement.setBytes(6, new byte[] {0, -1});
            statement.setObject(7, LocalDate.of(1984, 2, 29));
            statement.setObject(8, OffsetDateTime.of(2024, 5, 6, 7, 8, 9, 0, ZoneOffset.UTC));
            statement.setObject(9, java.util.UUID.fromString("6b29fc40-ca47-1067-b31d-00dd010662da"));
            statement.setArray(10, connection.createArrayOf("int4", new Object[] {1, null, 3}));
            statement.setNull(11, java.sql.Types.VARCHAR);
            tell("types round trip", all(statement.executeQuery()));
            tell("types parameters", statement.getParameterMetaData().getParameterTypeName(10));
        }
    }

    private static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        tell("metadata", about.getDatabaseMajorVersion(), about.getMaxColumnNameLength(), about.getUserName());
        tell("metadata tables", all(about.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})));
        for (String table : new String[] {"customers", "payments", "drv_items"}) {
            tell("metadata columns", table, all(about.getColumns(null, "public", table, "%")));
            tell("metadata keys", table, all(about.getPrimaryKeys(null, "public", table)), all(about.getImportedKeys(null, "public", table)));
            tell("metadata indexes", table, all(about.getIndexInfo(null, "public", table, false, false)).replaceAll("[-\\d.E]+,\\d+,null\\]", "]"));
        }
        tell("metadata schemas", all(about.getSchemas()));
        try (ResultSet kinds = about.getTypeInfo(); ResultSet functions = about.getFunctions(null, "pg_catalog", "abs")) {
            tell("metadata types", kinds.next(), functions.next());
        }
        tell("metadata privileges", all(about.getTablePrivileges(null, "public", "drv_items")));
    }

    private static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int + 1")) {
            for (int n = 0; n < 20; n++) {
                statement.setInt(1, n);
                tell("prepared", all(statement.executeQuery()));
            }
        }
        try (Connection simple = open("preferQueryMode", "simple"); PreparedStatement statement = simple.prepareStatement("SELECT ?::int + 1, ?")) {
            statement.setInt(1, 1);
            statement.setString(2, "a'b\\");
            tell("prepared simple", all(statement.executeQuery()));
        }
        try (Connection cached = open("prepareThreshold", "1", "preparedStatementCacheQueries", "4")) {
            for (int n = 0; n < 40; n++) {
                ask(cached, "SELECT " + n % 8);
            }
            tell("prepared cache", ask(cached, "SELECT 'evicted'"));
        }
    }

    private static void batch(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO drv_items(name, qty) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 0; n < 300; n++) {
                statement.setString(1, "batch " + n);
                statement.setInt(2, n);
                statement.addBatch();
            }
            tell("batch", statement.executeBatch().length);
            tell("batch keys", all(statement.getGeneratedKeys()).length());
            statement.setString(1, "e 1");
            statement.setInt(2, -1);
            statement.addBatch();
            statement.executeBatch();
        } catch (BatchUpdateException error) {
            tell("batch error", error.getSQLState(), error.getUpdateCounts().length);
        }
        try (Connection rewriting = open("reWriteBatchedInserts", "true");
            PreparedStatement statement = rewriting.prepareStatement("INSERT INTO drv_items(name, qty) VALUES (?, ?)")) {
            for (int n = 0; n < 100; n++) {
                statement.setString(1, "rewritten " + n);
                statement.setInt(2, n);
                statement.addBatch();
            }
            tell("batch rewritten", statement.executeBatch().length, ask(rewriting, "SELECT count(*), sum(qty) FROM drv_items"));
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE drv_items SET qty = 0 WHERE name = 'batch 1'");
            statement.addBatch("DELETE FROM drv_items WHERE name = 'batch 2'");
            tell("batch statements", statement.executeBatch().length);
            tell("batch several", statement.execute("SELECT 1; SELECT 2"), statement.getMoreResults(), statement.getMoreResults());
        }
    }

    private static void cursor(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        for (int threshold : new int[] {5, -1}) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT g, repeat('x', g % 7) FROM generate_series(1, ?) g")) {
                statement.unwrap(PGStatement.class).setPrepareThreshold(threshold);
                statement.setFetchSize(500);
                statement.setInt(1, 5000);
                long total = 0;
                try (ResultSet result = statement.executeQuery()) {
                    while (result.next()) {
                        total += result.getInt(1) + result.getString(2).length();
                    }
                }
                tell("cursor", total);
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1);
            statement.setMaxRows(2);
            tell("cursor limited", all(statement.executeQuery("SELECT id, name FROM customers ORDER BY id")));
        }
        connection.commit();
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet result = statement.executeQuery("SELECT id, name, qty FROM drv_items WHERE name = 'batch 3'")) {
            result.first();
            result.updateInt("qty", 33);
            result.updateRow();
            tell("cursor updated", result.getInt("qty"));
        }
        connection.commit();
    }

    private static void transaction(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("INSERT INTO drv_items(name, qty) VALUES ('kept', 1)");
            Savepoint savepoint = connection.setSavepoint("one");
            tell("savepoint", code(connection, "INSERT INTO drv_items(name, qty) VALUES ('lost', -1)"));
            tell("aborted", code(connection, "SELECT 1"));
            connection.rollback(savepoint);
            connection.commit();
            statement.executeUpdate("UPDATE drv_items SET qty = 5 WHERE name = 'kept'");
            connection.rollback();
            tell("transaction", ask(connection, "SELECT qty FROM drv_items WHERE name = 'kept'"));
            connection.commit();
        }
        connection.setAutoCommit(true);
        for (String text : new String[] {"SELECT nothing", "SELECT 1 +", "SELECT 1/0", "SELECT * FROM nowhere", "SELECT 'x'::int"}) {
            tell("error", code(connection, text));
        }
    }

    private static void copy(Connection connection) throws Exception {
        CopyManager copies = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder rows = new StringBuilder();
        for (int n = 0; n < 1000; n++) {
            rows.append("copied ").append(n).append('\t').append(n).append('\n');
        }
        tell("copy in", copies.copyIn("COPY drv_items(name, qty) FROM STDIN", new StringReader(rows.toString())));
        try {
            copies.copyIn("COPY drv_items(name, qty) FROM STDIN", new StringReader("a\tno number\n"));
        } catch (SQLException error) {
            tell("copy error", error.getSQLState());
        }
        for (String how : new String[] {"", "(FORMAT csv, HEADER)", "(FORMAT binary)"}) {
            java.io.ByteArrayOutputStream out = new java.io.ByteArrayOutputStream();
            tell("copy out", how, copies.copyOut("COPY drv_types TO STDOUT " + how, out), out.toByteArray());
        }
    }

    private static void notifications(Connection connection) throws SQLException {
        try (Connection plain = open(System.getenv("DRIVER_PLAIN_DATABASE"), new Properties()); Statement statement = plain.createStatement()) {
            statement.execute("LISTEN story");
            statement.execute("NOTIFY story, 'first'");
            var heard = plain.unwrap(PGConnection.class).getNotifications(30_000);
            tell("notify", heard[0].getName(), heard[0].getParameter());
        }
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            CompletableFuture<String> slow = CompletableFuture.supplyAsync(() -> {
                try {
                    statement.execute("SELECT pg_sleep(60)");
                    return "slept";
                } catch (SQLException error) {
                    return error.getSQLState();
                }
            });
            while (!slow.isDone()) {
                Thread.sleep(50);
                statement.cancel();
            }
            tell("cancel", slow.get());
            statement.setQueryTimeout(1);
            statement.execute("SELECT pg_sleep(60)");
        } catch (SQLException error) {
            tell("cancel by timeout", error.getSQLState());
        }
    }

    private static void large(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1000);
            int rows = 0;
            int size = 0;
            try (ResultSet result = statement.executeQuery("SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g")) {
                while (result.next()) {
                    rows++;
                    size += result.getString(2).length();
                }
            }
            tell("large", rows, size);
        }
        tell("large value", ask(connection, "SELECT repeat('é', 3000000)").length());
        try (PreparedStatement statement = connection.prepareStatement("SELECT length(?)")) {
            statement.setString(1, "y".repeat(3_000_000));
            tell("large parameter", all(statement.executeQuery()));
        }
        connection.commit();
    }

    private static void masked(ResultSet result) throws SQLException {
        tell("masked ssn", result.getString("ssn"));
        tell("masked born", result.getObject("born", LocalDate.class));
        tell("masked seen", result.getObject("seen", OffsetDateTime.class));
        tell("masked visits", result.getInt("visits"));
        tell("masked account", result.getLong("account"));
        tell("masked balance", result.getBigDecimal("balance").toPlainString());
        tell("masked score", result.getDouble("score") == Math.rint(result.getDouble("score")) ? (Object) (int) result.getDouble("score") : result.getDouble("score"));
        tell("masked insured", result.getBoolean("insured"));
        tell("masked token", result.getObject("token", java.util.UUID.class));
        tell("masked chart", result.getString("chart").replace(": ", ":"));
        tell("masked scan", result.getBytes("scan"));
    }

    private static void hidden(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(HIDDEN + "1")) {
            result.next();
            masked(result);
        }
        try (PreparedStatement statement = connection.prepareStatement(HIDDEN + "?")) {
            for (int round = 0; round < 7; round++) {
                // Text at first; binary and a named statement after the fifth.
                statement.setInt(1, 1);
                try (ResultSet result = statement.executeQuery()) {
                    result.next();
                    masked(result);
                }
            }
            statement.setInt(1, 2);
            tell("masked nulls", all(statement.executeQuery()));
        }
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT ssn FROM customers ORDER BY id")) {
            statement.setFetchSize(1);
            tell("masked rows", all(statement.executeQuery()));
        }
        connection.commit();
    }
}
