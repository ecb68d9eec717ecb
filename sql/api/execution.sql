-- An execution of an account, if it has landed: whether a page may begin behind it.
SELECT execution_id
FROM executions
WHERE account = {account:String} AND execution_id = {execution_id:String}
LIMIT 1
