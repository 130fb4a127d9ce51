<?php
// sender.php PORT USERNAME PASSWORD CHANNEL TEXT…: sends each text as a message with a number.
error_reporting(E_ALL & ~E_DEPRECATED);
$library = getenv('PHPMESSAGEBROKER');
require $library ? "$library/sender/lib/MQSender.php" : __DIR__ . '/MQSender.php';

[, $port, $username, $password, $channel] = $argv;
$sender = new MQSender('127.0.0.1', (int) $port, $username, $password);
foreach (array_slice($argv, 5) as $i => $text) $sender->send(['id' => $i + 1, 'message' => $text], $channel);
