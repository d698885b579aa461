// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IFiles} from "cess/IFiles.sol";
import {IMiners} from "cess/IMiners.sol";
import {IStaking} from "cess/IStaking.sol";

/// Sells access to stored files, and keeps who paid for which.
///
/// An owner of a stored file names a price. A buyer's money waits in the contract until the era in which it was paid is over. Then
/// the seller takes it, if the network still keeps the file; if it does not, the buyer takes it back. What "keeps" means is one
/// function, [kept]: today it reads the file's record and its holders' registrations, and once holders prove their fragments on
/// chain it is the place to read those proofs.
contract FileShop {
    IFiles public constant FILES = IFiles(0x00000000000000000000000000000000ce550003);
    IMiners public constant MINERS = IMiners(0x00000000000000000000000000000000Ce550002);
    IStaking public constant STAKING = IStaking(0x00000000000000000000000000000000CE550001);

    /// Fragments from which any file can be read: any four of the twelve.
    uint256 public constant FRAGMENTS_NEEDED = 4;

    struct Offer {
        address payable seller;
        uint256 price;
    }

    struct Purchase {
        address payable seller;
        uint256 amount;
        uint64 era;
    }

    /// What is for sale: by file.
    mapping(bytes32 file => Offer) public offers;
    /// Money that waits: by file and buyer.
    mapping(bytes32 file => mapping(address buyer => Purchase)) public purchases;
    /// Who paid for which file, for good.
    mapping(bytes32 file => mapping(address buyer => bool)) public hasPaid;

    event Offered(bytes32 indexed file, address indexed seller, uint256 price, uint64 size);
    event Bought(bytes32 indexed file, address indexed buyer, uint256 price, uint64 era);
    event Settled(bytes32 indexed file, address indexed buyer, address indexed seller, uint256 amount);
    event Refunded(bytes32 indexed file, address indexed buyer, uint256 amount);

    error NotOwner(bytes32 file, address account);
    error NotForSale(bytes32 file);
    error WrongPrice(uint256 sent, uint256 price);
    error AlreadyBought(bytes32 file, address buyer);
    error NothingWaits(bytes32 file, address buyer);
    error EraNotOver(uint64 paidIn, uint64 current);
    error FileKept(bytes32 file, uint256 holders);
    error FileNotKept(bytes32 file, uint256 holders);
    error PaymentFailed(address to, uint256 amount);

    /// Puts a file up for sale. Only who owns it by the protocol's own record may.
    function offer(bytes32 file, uint256 price) external {
        IFiles.File memory record = FILES.get(file);
        if (!contains(record.owners, msg.sender)) revert NotOwner(file, msg.sender);
        offers[file] = Offer(payable(msg.sender), price);
        emit Offered(file, msg.sender, price, record.size);
    }

    /// Pays for a file that the network keeps.
    function buy(bytes32 file) external payable {
        Offer memory sale = offers[file];
        if (sale.seller == address(0)) revert NotForSale(file);
        if (msg.value != sale.price) revert WrongPrice(msg.value, sale.price);
        if (purchases[file][msg.sender].seller != address(0) || hasPaid[file][msg.sender]) {
            revert AlreadyBought(file, msg.sender);
        }
        (bool isKept, uint256 holders) = kept(file);
        if (!isKept) revert FileNotKept(file, holders);
        uint64 era = STAKING.currentEra();
        purchases[file][msg.sender] = Purchase(sale.seller, msg.value, era);
        hasPaid[file][msg.sender] = true;
        emit Bought(file, msg.sender, msg.value, era);
    }

    /// Hands a buyer's money to the seller: the era is over and the file is still kept. Anybody may call.
    function settle(bytes32 file, address buyer) external {
        Purchase memory purchase = take(file, buyer);
        (bool isKept, uint256 holders) = kept(file);
        if (!isKept) revert FileNotKept(file, holders);
        emit Settled(file, buyer, purchase.seller, purchase.amount);
        pay(purchase.seller, purchase.amount);
    }

    /// Gives the money back: the era is over and the network no longer keeps the file. Anybody may call.
    function refund(bytes32 file, address payable buyer) external {
        Purchase memory purchase = take(file, buyer);
        (bool isKept, uint256 holders) = kept(file);
        if (isKept) revert FileKept(file, holders);
        hasPaid[file][buyer] = false;
        emit Refunded(file, buyer, purchase.amount);
        pay(buyer, purchase.amount);
    }

    /// Whether the network keeps a file, and how many of its holders still answer for it.
    function kept(bytes32 file) public view virtual returns (bool, uint256 holders) {
        // A file that its last owner gave up has no record any more: the call reverts with UnknownFile.
        try FILES.get(file) returns (IFiles.File memory record) {
            for (uint256 i = 0; i < record.holders.length; i++) {
                try MINERS.get(record.holders[i]) {
                    holders++;
                } catch {}
            }
        } catch {}
        return (holders >= FRAGMENTS_NEEDED, holders);
    }

    /// Removes a purchase whose era is over and returns it.
    function take(bytes32 file, address buyer) private returns (Purchase memory purchase) {
        purchase = purchases[file][buyer];
        if (purchase.seller == address(0)) revert NothingWaits(file, buyer);
        uint64 era = STAKING.currentEra();
        if (era <= purchase.era) revert EraNotOver(purchase.era, era);
        delete purchases[file][buyer];
    }

    function pay(address payable to, uint256 amount) private {
        (bool done,) = to.call{value: amount}("");
        if (!done) revert PaymentFailed(to, amount);
    }

    function contains(address[] memory accounts, address account) private pure returns (bool) {
        for (uint256 i = 0; i < accounts.length; i++) {
            if (accounts[i] == account) return true;
        }
        return false;
    }
}
