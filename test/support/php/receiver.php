<?php
// receiver.php PORT USERNAME PASSWORD CHANNEL: a line for each message, `lost` for a read that is no document.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_WARNING);
$library = getenv('PHPMESSAGEBROKER');
require $library ? "$library/receiver/lib/MQReceiver.php" : __DIR__ . '/MQReceiver.php';

class Receiver extends MQReceiver
{
    public function processMessage($message)
    {
        $document = json_decode($message);
        if (!$document) echo "lost\n";
        else foreach ($document->data as $data) echo "got $data->id: $data->message\n";
    }
}

[, $port, $username, $password, $channel] = $argv;
$receiver = new Receiver('127.0.0.1', (int) $port, $username, $password, $channel);
$receiver->showLog = false;
$receiver->run();
