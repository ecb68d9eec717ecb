import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Set;
import java.util.TreeSet;

/** What a JDBC client such as DBeaver does: connects, shows the schema, asks, and is refused. */
public class Ask {
    public static void main(String[] arguments) throws Exception {
        Class.forName("com.clickhouse.jdbc.Driver");
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            System.out.println("version " + connection.getMetaData().getDatabaseProductVersion());
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT symbol, size FROM trades")) {
                while (rows.next()) {
                    System.out.println("row " + rows.getString(1) + " " + rows.getDouble(2));
                }
            }
            String sum = "SELECT sum(number), max(toString(number)) FROM numbers(?)";
            try (PreparedStatement statement = connection.prepareStatement(sum)) {
                statement.setInt(1, 100000);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    System.out.println("sum " + rows.getLong(1));
                }
            }
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT number FROM numbers(300000)")) {
                long count = 0;
                while (rows.next()) {
                    count++;
                }
                System.out.println("rows " + count);
            }
            Set<String> tables = new TreeSet<>();
            try (ResultSet rows = connection.getMetaData().getTables(null, "default", "%", null)) {
                while (rows.next()) {
                    tables.add(rows.getString("TABLE_NAME"));
                }
            }
            System.out.println("tables trades " + tables.contains("trades") + " orders " + tables.contains("orders"));
            try (ResultSet rows = connection.getMetaData().getColumns(null, "default", "trades", "price")) {
                rows.next();
                System.out.println("column " + rows.getString("COLUMN_NAME"));
            }
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery("SELECT * FROM orders");
                System.out.println("orders were read");
            } catch (SQLException refused) {
                System.out.println("refused " + refused.getMessage());
            }
        }
    }
}
